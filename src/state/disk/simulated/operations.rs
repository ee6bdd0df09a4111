//! What the store does with the disk, and where each operation may fail, lose power or be interrupted.

use super::*;

impl Disk for SimDisk {
    fn read(&self, file: &Path, limit: u64) -> io::Result<Vec<u8>> {
        let mut world = self.operate()?;
        let mut bytes = world.files[world.file(file)?].now.clone();
        let is_view = !is_segment(file) && !is_kept(file);
        if is_view {
            world.believed.clone_from(&bytes);
        }
        let is_half = bytes.ends_with(b"\n") && !bytes.ends_with(format!("{END}\n").as_bytes());
        if world.mutant == Some(Mutant::NoEndLine) && is_view && is_half {
            bytes.extend(END.as_bytes());
            bytes.push(b'\n');
        }
        if bytes.len() as u64 > limit {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(bytes)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        let world = self.operate()?;
        world.node(directory)?;
        let hides = world.mutant == Some(Mutant::NoKept);
        let inside = world
            .names
            .keys()
            .filter(|path| parent(path) == directory && !(hides && is_kept(path)));
        Ok(inside
            .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
            .collect())
    }

    fn mark(&self, file: &Path) -> io::Result<Mark> {
        let world = self.operate()?;
        let (inode, size, version) = match world.node(file)? {
            Node::Directory => (0, 0, 0),
            Node::File(id) => (id as u64, world.files[id].now.len() as u64, world.files[id].version),
        };
        let blind = world.mutant == Some(Mutant::NoKept) && is_kept(file);
        Ok(Mark {
            inode: (1, inode),
            size: if blind { 0 } else { size },
            changed: if blind { (0, 0) } else { (version, 0) },
            user: 0,
        })
    }

    fn make_directory(&self, directory: &Path) -> io::Result<()> {
        let mut world = self.operate()?;
        if world.node(directory).is_err() {
            world.set(vec![(directory.to_owned(), Some(Node::Directory))]);
        }
        Ok(())
    }

    fn create(&self, file: &Path, _: Option<&Path>) -> io::Result<Box<dyn Appending>> {
        let mut world = self.operate()?;
        if world.node(file).is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        world.node(parent(file))?;
        if world.mutant == Some(Mutant::DeleteOldFirst) && is_segment(file) {
            let old: Vec<_> = world.names.keys().filter(|path| is_segment(path)).cloned().collect();
            for path in old {
                world.set(vec![(path, None)]);
            }
            world.sync_names(parent(file));
        }
        let id = world.new_file();
        world.set(vec![(file.to_owned(), Some(Node::File(id)))]);
        Ok(Box::new(SimFile {
            disk: self.clone(),
            id,
            path: file.to_owned(),
        }))
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        let mut world = self.operate()?;
        let private = directory.extension().is_some_and(|extension| extension == "d");
        if world.mutant != Some(Mutant::NoSegmentDirectorySync) || !private {
            world.sync_names(directory);
        }
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut world = self.operate()?;
        let node = world.node(from)?;
        world.set(vec![(from.to_owned(), None), (to.to_owned(), Some(node))]);
        Ok(())
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut world = self.operate()?;
        let node = world.node(from)?;
        if world.node(to).is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        world.set(vec![(from.to_owned(), None), (to.to_owned(), Some(node))]);
        Ok(())
    }

    fn exchange(&self, one: &Path, other: &Path) -> io::Result<()> {
        let mut world = self.operate()?;
        let (a, b) = (world.node(one)?, world.node(other)?);
        if world.mutant == Some(Mutant::PlainReplace) {
            let old = world.new_file();
            let believed = std::mem::take(&mut world.believed);
            world.files[old].append(&believed);
            world.set(vec![
                (other.to_owned(), Some(a)),
                (one.to_owned(), Some(Node::File(old))),
            ]);
        } else {
            world.set(vec![(other.to_owned(), Some(a)), (one.to_owned(), Some(b))]);
        }
        if let Node::File(id) = a {
            world.believed = world.files[id].now.clone();
        }
        Ok(())
    }

    fn link(&self, file: &Path, name: &Path) -> io::Result<()> {
        let mut world = self.operate()?;
        let node = world.node(file)?;
        world.set(vec![(name.to_owned(), Some(node))]);
        Ok(())
    }

    fn remove(&self, file: &Path) -> io::Result<()> {
        let mut world = self.operate()?;
        world.node(file)?;
        world.set(vec![(file.to_owned(), None)]);
        Ok(())
    }

    fn clock(&self) -> Duration {
        self.world().clock
    }

    fn pause(&self, time: Duration) {
        self.advance(time);
        // Time passes for others, too.
        let mut world = self.world();
        world.operations += 1;
    }

    fn nonce(&self) -> u32 {
        let mut world = self.world();
        world.nonce += 1;
        world.nonce
    }
}

#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    id: usize,
    path: PathBuf,
}

impl Appending for SimFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self.disk.operate() {
            Ok(mut world) => {
                world.appends += usize::from(is_segment(&self.path));
                // What the ballast holds is of no interest, and there is much of it.
                let bytes = if self.path.ends_with("ballast") { b"x" } else { bytes };
                world.files[self.id].append(bytes);
                Ok(())
            }
            Err(error) => {
                let mut world = self.disk.world();
                if world.crash_at.is_none_or(|at| world.operations <= at) {
                    world.files[self.id].append(&bytes[..bytes.len() / 2]);
                }
                Err(error)
            }
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        let operated = self.disk.operate().map(drop);
        let mut world = self.disk.world();
        let mutant = world.mutant;
        world.syncs += usize::from(is_segment(&self.path));
        let powerless = world.crash_at.is_some_and(|at| world.operations > at);
        let file = &mut world.files[self.id];
        let is_segment = is_segment(&self.path);
        match operated {
            Err(error) if powerless => Err(error),
            Err(error) => {
                for piece in &mut file.pending {
                    if let Piece::Append(data) = piece {
                        *piece = Piece::Lost(data.len());
                    }
                }
                if mutant == Some(Mutant::RetrySync) {
                    Ok(())
                } else {
                    Err(error)
                }
            }
            Ok(()) => {
                let last_is_completion = match file.pending.last() {
                    Some(Piece::Append(data)) => data.windows(10).any(|window| window == b"=completed"),
                    _ => false,
                };
                match mutant {
                    Some(Mutant::NoSegmentSync) if is_segment => {}
                    Some(Mutant::NoViewSync) if !is_segment => {}
                    Some(Mutant::ViewBeforeLog) if is_segment && !last_is_completion && !file.synced.is_empty() => {}
                    Some(Mutant::AckBeforeSync) if is_segment && !file.synced.is_empty() => {
                        let last = file.pending.pop();
                        file.sync();
                        file.pending.extend(last);
                    }
                    _ => file.sync(),
                }
                Ok(())
            }
        }
    }

    fn reserve(&mut self, _: u64) -> io::Result<()> {
        self.disk.operate().map(drop)
    }
}
