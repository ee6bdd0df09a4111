//! The disk that there is.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::thread::{self, Builder};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FallocateFlags, OFlags, RenameFlags, fallocate, renameat_with};
use rustix::io::Errno;

use super::super::error::StateError;
use super::{Appending, Disk, Mark, failure, parent};

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// How much of a file is read at a time when it is not to be kept, in bytes.
const PIECE: usize = 256 << 10;
/// A file of at least so many bytes is read by several threads. Tests do so with small ones.
const LARGE: usize = if cfg!(test) { 1 << 10 } else { 4 << 20 };

/// The files of this machine.
#[derive(Debug, Clone, Copy)]
pub(in crate::state) struct RealDisk;

/// A regular file, and its size in bytes.
fn open(file: &Path) -> io::Result<(File, u64)> {
    let metadata = fs::metadata(file)?;
    if metadata.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if !metadata.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    // Should a pipe have come in its place meanwhile, opening it must not wait for a writer.
    let flags = OFlags::NONBLOCK.bits() as i32;
    let opened = OpenOptions::new().read(true).custom_flags(flags).open(file)?;
    Ok((opened, metadata.len()))
}

/// The first `size` bytes of a file, read by all processors: most of the time goes into memory that is touched for the first
/// time. Fewer, when the file has shrunk.
fn read_side_by_side(file: &File, size: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; size];
    let share = size.div_ceil(thread::available_parallelism().map_or(1, usize::from));
    let lengths = thread::scope(|scope| {
        let read = |(part, memory)| read_at(file, (part * share) as u64, memory);
        let mut shares = bytes.chunks_mut(share).enumerate();
        let own = shares.next();
        let others = shares.map(|share| Builder::new().spawn_scoped(scope, move || read(share)));
        let others = others.collect::<io::Result<Vec<_>>>()?;
        let own = own.map(read);
        let others = others.into_iter().map(|reader| {
            let read = reader.join();
            read.unwrap_or_else(|_| Err(io::Error::other("a thread that read it panicked")))
        });
        own.into_iter().chain(others).collect::<io::Result<Vec<_>>>()
    })?;
    let whole = lengths.iter().take_while(|length| **length == share).count();
    bytes.truncate(whole * share + lengths.get(whole).copied().unwrap_or(0));
    Ok(bytes)
}

/// Fills memory with what stands at a place in a file, and returns how much there was.
fn read_at(file: &File, at: u64, memory: &mut [u8]) -> io::Result<usize> {
    let mut done = 0;
    while done < memory.len() {
        match file.read_at(&mut memory[done..], at + done as u64) {
            Ok(0) => break,
            Ok(length) => done += length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

impl Disk for RealDisk {
    fn read(&self, file: &Path, limit: u64) -> io::Result<Vec<u8>> {
        let (mut opened, size) = open(file)?;
        let size = usize::try_from(size.min(limit)).unwrap_or(0);
        let mut bytes = Vec::new();
        if size >= LARGE {
            // Where the system gives no threads all of it is read below.
            bytes = read_side_by_side(&opened, size).unwrap_or_default();
            opened.seek(SeekFrom::Start(bytes.len() as u64))?;
        } else {
            bytes.reserve(size + 1);
        }
        // It may have grown since.
        let left = limit.saturating_add(1).saturating_sub(bytes.len() as u64);
        opened.take(left).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > limit {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(bytes)
    }

    // Memory that is used again costs nothing.
    fn go_through(&self, file: &Path, limit: u64, show: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        let (opened, _) = open(file)?;
        let mut rest = opened.take(limit.saturating_add(1));
        let mut piece = vec![0; PIECE];
        loop {
            match rest.read(&mut piece) {
                Ok(0) if rest.limit() == 0 => return Err(io::ErrorKind::FileTooLarge.into()),
                Ok(0) => return Ok(()),
                Ok(length) => show(&piece[..length]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        let name = |entry: io::Result<fs::DirEntry>| Ok(entry?.file_name().into_string().unwrap_or_default());
        fs::read_dir(directory)?.map(name).collect()
    }

    fn mark(&self, file: &Path) -> io::Result<Mark> {
        let metadata = fs::metadata(file)?;
        let nanoseconds = |seconds: i64, part: i64| i128::from(seconds) * 1_000_000_000 + i128::from(part);
        Ok(Mark {
            inode: (metadata.dev(), metadata.ino()),
            size: metadata.size(),
            changed: (
                nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
                nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
            ),
            user: metadata.uid(),
        })
    }

    fn make_directory(&self, directory: &Path) -> io::Result<()> {
        match fs::create_dir(directory) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && directory.is_dir() => Ok(()),
            other => other,
        }
    }

    fn create(&self, file: &Path, like: Option<&Path>) -> io::Result<Box<dyn Appending>> {
        let model = like.and_then(|like| fs::metadata(like).ok());
        let mode = if model.is_some() { 0o600 } else { 0o666 };
        let created = OpenOptions::new().append(true).create_new(true).mode(mode).open(file)?;
        if let Some(model) = model
            && let Err(error) = take_over_owner(&created, &model)
        {
            // The file is of no use, and the caller knows only that there is none.
            let _ = fs::remove_file(file);
            return Err(error);
        }
        Ok(Box::new(RealFile(created)))
    }

    fn do_both(&self, one: &mut (dyn FnMut() + Send), other: &mut dyn FnMut()) {
        let one = Mutex::new(one);
        let work = || (*one.lock().unwrap_or_else(PoisonError::into_inner))();
        thread::scope(|scope| {
            // Where the system gives no thread it is done first.
            if Builder::new().spawn_scoped(scope, work).is_err() {
                work();
            }
            other();
        });
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        match File::open(directory)?.sync_all() {
            // Some file systems have no such operation; they give what they can.
            Err(error) if is_one_of(&error, &[Errno::INVAL, Errno::OPNOTSUPP]) => Ok(()),
            other => other,
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE).map_err(io::Error::from) {
            // NFS knows no such flag.
            Err(error) if lacks_rename_flags(&error) => link_in_place(from, to),
            other => other,
        }
    }

    fn exchange(&self, one: &Path, other: &Path) -> io::Result<()> {
        match renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).map_err(io::Error::from) {
            Err(error) if lacks_rename_flags(&error) => exchange_by_links(one, other),
            result => result,
        }
    }

    fn link(&self, file: &Path, name: &Path) -> io::Result<()> {
        match fs::hard_link(file, name) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => fs::copy(file, name).map(|_| ()),
            other => other,
        }
    }

    fn remove(&self, file: &Path) -> io::Result<()> {
        fs::remove_file(file)
    }

    fn clock(&self) -> Duration {
        START.elapsed()
    }

    fn pause(&self, time: Duration) {
        std::thread::sleep(time);
    }

    fn nonce(&self) -> u32 {
        let mut bytes = [0; 4];
        let random = File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes));
        if random.is_err() {
            let ticks = START.elapsed().as_nanos() as u32;
            bytes = ticks
                .wrapping_mul(0x9e37_79b9)
                .wrapping_add(std::process::id())
                .to_le_bytes();
        }
        u32::from_le_bytes(bytes)
    }
}

#[derive(Debug)]
struct RealFile(File);

impl Appending for RealFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn reserve(&mut self, bytes: u64) -> io::Result<()> {
        let end = self.0.metadata()?.len();
        match fallocate(&self.0, FallocateFlags::KEEP_SIZE, end, bytes).map_err(io::Error::from) {
            Err(error) if is_one_of(&error, &[Errno::OPNOTSUPP, Errno::NOSYS, Errno::INVAL]) => Ok(()),
            other => other,
        }
    }

    fn give_back(&mut self) {
        // To the length that it has: what lies behind it goes.
        let _ = self.0.metadata().and_then(|now| self.0.set_len(now.len()));
    }
}

fn is_one_of(error: &io::Error, errors: &[Errno]) -> bool {
    Errno::from_io_error(error).is_some_and(|errno| errors.contains(&errno))
}

fn lacks_rename_flags(error: &io::Error) -> bool {
    is_one_of(error, &[Errno::INVAL, Errno::NOSYS, Errno::OPNOTSUPP])
}

/// Gives a file another name, if that is free, with the means that every network file system has.
fn link_in_place(from: &Path, to: &Path) -> io::Result<()> {
    fs::hard_link(from, to)?;
    fs::remove_file(from)
}

/// Puts `one` in the place of `other` and `other` in that of `one`, the first of it at once. A save by renaming that
/// falls between the first two steps is lost; there is no way without it.
fn exchange_by_links(one: &Path, other: &Path) -> io::Result<()> {
    let mut name = one.as_os_str().to_owned();
    name.push(".x");
    let between = PathBuf::from(name);
    match fs::remove_file(&between) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    fs::hard_link(other, &between)?;
    fs::rename(one, other)?;
    fs::rename(&between, one)
}

fn take_over_owner(file: &File, model: &Metadata) -> io::Result<()> {
    // Who may not give a file away cannot keep another's ownership; the content matters more.
    let _ = std::os::unix::fs::fchown(file, Some(model.uid()), Some(model.gid()));
    file.set_permissions(fs::Permissions::from_mode(model.mode() & 0o7777))
}

/// The file that a path means, with no symbolic link left in it; the file itself need not be there.
///
/// # Errors
/// When its directory is not there or the links go in a circle.
pub(in crate::state) fn resolve(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..40 {
        match fs::canonicalize(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            known => return known,
        }
        let (Some(name), parent) = (path.file_name(), parent(&path)) else {
            return Err(io::Error::from(io::ErrorKind::NotFound));
        };
        match fs::read_link(&path) {
            Ok(link) => path = parent.join(link),
            Err(_) => return Ok(fs::canonicalize(parent)?.join(name)),
        }
    }
    Err(Errno::LOOP.into())
}

/// Makes a directory and those above it that are not there, and makes their names durable.
///
/// # Errors
/// [`StateError::Io`].
pub(in crate::state) fn create_directory(directory: &Path) -> Result<(), StateError> {
    if directory.is_dir() {
        return Ok(());
    }
    let above = parent(directory);
    create_directory(above)?;
    RealDisk
        .make_directory(directory)
        .map_err(failure("make the directory", directory, true))?;
    RealDisk
        .sync_directory(above)
        .map_err(failure("make durable the new entry of", above, true))
}

/// Opens a file for reading and writing; it is made when it is not there and never emptied.
pub(in crate::state) fn open_lock_file(file: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o666)
        .open(file)
}

/// Makes a small file with this text, all of it at once. Returns whether there was none before.
pub(in crate::state) fn write_new(file: &Path, text: &str) -> io::Result<bool> {
    let beside = file.with_extension(format!("{}", std::process::id()));
    fs::write(&beside, text)?;
    let linked = fs::hard_link(&beside, file);
    fs::remove_file(&beside)?;
    match linked {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

/// Puts a small file with this text in the place of another.
pub(in crate::state) fn write_over(file: &Path, text: &str) -> io::Result<()> {
    let beside = file.with_extension(format!("{}", std::process::id()));
    fs::write(&beside, text)?;
    fs::rename(&beside, file)
}

/// Removes a small file.
pub(in crate::state) fn remove_small(file: &Path) -> io::Result<()> {
    fs::remove_file(file)
}

/// Opens a file for reading only, if it is there.
pub(in crate::state) fn open_existing(file: &Path) -> io::Result<File> {
    File::open(file)
}

/// Puts a text in the place of an open file's content.
pub(in crate::state) fn overwrite(mut file: &File, text: &str) -> io::Result<()> {
    file.rewind()?;
    file.write_all(text.as_bytes())?;
    file.set_len(text.len() as u64)
}

/// The content of an open small file.
pub(in crate::state) fn content(mut file: &File) -> io::Result<String> {
    let mut text = String::new();
    file.rewind()?;
    file.take(64 << 10).read_to_string(&mut text)?;
    Ok(text)
}

/// A one-line file of the kernel, without its line end; empty when there is none.
pub(in crate::state) fn kernel_text(file: &str) -> String {
    fs::read_to_string(file)
        .map(|text| text.trim_end().to_owned())
        .unwrap_or_default()
}

/// Where a link of the kernel points to; empty when there is none.
pub(in crate::state) fn kernel_link(link: &str) -> String {
    fs::read_link(link)
        .map(|target| target.to_string_lossy().into_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use assert_fs::TempDir;

    use super::*;

    fn text(file: &Path) -> String {
        fs::read_to_string(file).unwrap()
    }

    #[test]
    fn links_are_resolved_to_the_file_they_mean() {
        let home = TempDir::new().unwrap();
        let root = fs::canonicalize(home.path()).unwrap();
        fs::create_dir(root.join("real")).unwrap();
        fs::write(root.join("real/state"), "x").unwrap();
        symlink("real/state", root.join("link")).unwrap();
        symlink("link", root.join("second")).unwrap();
        symlink("real/not_yet", root.join("dangling")).unwrap();
        symlink("circle", root.join("circle")).unwrap();
        assert_eq!(resolve(&root.join("second")).unwrap(), root.join("real/state"));
        assert_eq!(resolve(&root.join("dangling")).unwrap(), root.join("real/not_yet"));
        assert_eq!(resolve(&root.join("new")).unwrap(), root.join("new"));
        assert!(resolve(&root.join("circle")).is_err());
        assert!(resolve(&root.join("none/new")).is_err());
    }

    #[test]
    fn a_new_file_has_the_mode_of_its_model_and_takes_nobodys_place() {
        let home = TempDir::new().unwrap();
        let (model, new) = (home.path().join("model"), home.path().join("new"));
        fs::write(&model, "").unwrap();
        fs::set_permissions(&model, fs::Permissions::from_mode(0o640)).unwrap();
        let mut file = RealDisk.create(&new, Some(&model)).unwrap();
        file.reserve(1 << 16).unwrap();
        file.append(b"a").unwrap();
        file.append(b"b").unwrap();
        file.sync().unwrap();
        assert_eq!(text(&new), "ab");
        assert_eq!(fs::metadata(&new).unwrap().mode() & 0o7777, 0o640);
        let error = RealDisk.create(&new, None).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    }

    #[test]
    fn both_ways_to_swap_files_swap_them() {
        let home = TempDir::new().unwrap();
        let (one, other) = (home.path().join("one"), home.path().join("other"));
        for swap in [|a: &Path, b: &Path| RealDisk.exchange(a, b), exchange_by_links] {
            fs::write(&one, "1").unwrap();
            fs::write(&other, "2").unwrap();
            let inode = RealDisk.mark(&other).unwrap().inode;
            swap(&one, &other).unwrap();
            assert_eq!((text(&one), text(&other)), ("2".into(), "1".into()));
            assert_eq!(RealDisk.mark(&one).unwrap().inode, inode);
        }
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 2);
    }

    #[test]
    fn both_ways_to_take_a_free_name_take_only_a_free_one() {
        let home = TempDir::new().unwrap();
        let (one, other) = (home.path().join("one"), home.path().join("other"));
        for rename in [|a: &Path, b: &Path| RealDisk.rename_new(a, b), link_in_place] {
            fs::write(&one, "1").unwrap();
            rename(&one, &other).unwrap();
            assert!(!one.exists());
            fs::write(&one, "2").unwrap();
            assert_eq!(rename(&one, &other).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
            assert_eq!((text(&one), text(&other)), ("2".into(), "1".into()));
            fs::remove_file(&other).unwrap();
        }
    }

    #[test]
    fn what_is_no_readable_file_is_told_apart() {
        let home = TempDir::new().unwrap();
        let path = |name: &str| home.path().join(name);
        let ask = |path: &Path| RealDisk.read(path, 10).unwrap_err();
        fs::write(path("file"), "x").unwrap();
        assert_eq!(ask(&path("none")).kind(), io::ErrorKind::NotFound);
        assert_eq!(ask(&path("file/inside")).kind(), io::ErrorKind::NotADirectory);
        assert_eq!(ask(home.path()).kind(), io::ErrorKind::IsADirectory);
        rustix::fs::mknodat(CWD, path("pipe"), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        assert!(ask(&path("pipe")).to_string().contains("no regular file"));
        fs::write(path("big"), "01234567890").unwrap();
        assert_eq!(ask(&path("big")).kind(), io::ErrorKind::FileTooLarge);
    }

    #[test]
    fn a_file_of_any_length_is_read_as_it_is_and_gone_through_likewise() {
        let home = TempDir::new().unwrap();
        let file = home.path().join("file");
        for length in [0, 1, LARGE - 1, LARGE, LARGE + 1, 3 * LARGE + 7, PIECE, 2 * PIECE + 1] {
            let bytes: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            fs::write(&file, &bytes).unwrap();
            let limit = length as u64;
            assert!(RealDisk.read(&file, limit).unwrap() == bytes, "{length}");
            let mut shown = Vec::new();
            let gone_through = RealDisk.go_through(&file, limit, &mut |piece| shown.extend_from_slice(piece));
            assert!(gone_through.is_ok() && shown == bytes, "{length}");
            if let Some(less) = limit.checked_sub(1) {
                assert_eq!(
                    RealDisk.read(&file, less).unwrap_err().kind(),
                    io::ErrorKind::FileTooLarge
                );
                let gone_through = RealDisk.go_through(&file, less, &mut |_| {});
                assert_eq!(
                    gone_through.unwrap_err().kind(),
                    io::ErrorKind::FileTooLarge,
                    "{length}"
                );
            }
        }
    }

    #[test]
    fn of_a_file_that_shrinks_while_it_is_read_there_is_what_there_is() {
        let home = TempDir::new().unwrap();
        let file = home.path().join("file");
        fs::write(&file, "0123456789").unwrap();
        let opened = File::open(&file).unwrap();
        for size in 1..30 {
            let read = read_side_by_side(&opened, size).unwrap();
            assert_eq!(read, &b"0123456789"[..size.min(10)], "{size}");
        }
    }

    #[test]
    fn directories_are_made_with_those_above_them() {
        let home = TempDir::new().unwrap();
        let deep = home.path().join("a/b/c");
        create_directory(&deep).unwrap();
        create_directory(&deep).unwrap();
        assert!(deep.is_dir());
        fs::write(home.path().join("file"), "").unwrap();
        assert!(create_directory(&home.path().join("file/x")).is_err());
    }
}
