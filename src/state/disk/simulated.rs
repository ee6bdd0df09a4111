//! A disk for tests: it loses power, fails and is written to by others, at any operation that is wanted.
//!
//! What a loss of power may leave is as wide as POSIX allows (Pillai et al., "All file systems are not created equal",
//! OSDI 2014): of each file what was synced and any prefix of what was appended since, the last append torn or zeroed;
//! of the names any subset of what was changed since the directory was synced.

mod operations;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use super::super::page::END;
use super::{Appending, Disk, Mark, parent};

mod content;

use content::{File, Piece};

/// What somebody else does between two operations.
type Step = Box<dyn FnOnce(&SimDisk) + Send>;

/// A fault that is planted into the program by way of the disk; each breaks one rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::state) enum Mutant {
    /// The journal is never synced.
    NoSegmentSync,
    /// A new segment's name is never synced.
    NoSegmentDirectorySync,
    /// The state file's new text is not synced before it takes its place.
    NoViewSync,
    /// A completion is told before it is synced.
    AckBeforeSync,
    /// Old segments go before the new one is durable.
    DeleteOldFirst,
    /// The state file shows what the journal may lose.
    ViewBeforeLog,
    /// A sync that failed is tried again on the same file.
    RetrySync,
    /// The state file is replaced without looking at what was there.
    PlainReplace,
    /// A file that is cut short counts as whole.
    NoEndLine,
    /// Replaced files are not looked at again.
    NoKept,
}

/// Errors that come from one operation on, for so many operations.
#[derive(Debug, Clone, Copy)]
pub(in crate::state) struct Failing {
    pub(in crate::state) from: usize,
    pub(in crate::state) width: usize,
    pub(in crate::state) error: i32,
}

#[derive(Clone)]
pub(in crate::state) struct SimDisk(Arc<Mutex<World>>);

#[derive(Default)]
struct World {
    files: Vec<File>,
    names: BTreeMap<PathBuf, Node>,
    durable: BTreeMap<PathBuf, Node>,
    unsynced: Vec<Vec<(PathBuf, Option<Node>)>>,
    operations: usize,
    /// How often a segment of the journal was appended to, and synced.
    appends: usize,
    syncs: usize,
    crash_at: Option<usize>,
    failing: Option<Failing>,
    mutant: Option<Mutant>,
    steps: Vec<(usize, Step)>,
    clock: Duration,
    nonce: u32,
    /// What the program takes the state file to be.
    believed: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Node {
    Directory,
    File(usize),
}

/// Chance that is the same every time.
pub(in crate::state) struct Chance(pub(in crate::state) u64);

impl Chance {
    pub(in crate::state) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }
}

impl fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SimDisk")
    }
}

/// For those who set a disk up, break it, and look at it; none of this counts as an operation.
impl SimDisk {
    /// A disk with some directories.
    pub(in crate::state) fn new(directories: &[&Path]) -> Self {
        let mut world = World {
            clock: Duration::from_secs(100),
            ..World::default()
        };
        for directory in directories {
            world.names.insert(directory.to_path_buf(), Node::Directory);
        }
        world.durable = world.names.clone();
        SimDisk(Arc::new(Mutex::new(world)))
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap()
    }

    pub(in crate::state) fn operations(&self) -> usize {
        self.world().operations
    }

    /// How often a segment of the journal was appended to, and synced.
    pub(in crate::state) fn appends_and_syncs(&self) -> (usize, usize) {
        let world = self.world();
        (world.appends, world.syncs)
    }

    pub(in crate::state) fn crash_at(&self, operation: usize) {
        self.world().crash_at = Some(operation);
    }

    pub(in crate::state) fn fail(&self, failing: Failing) {
        self.world().failing = Some(failing);
    }

    /// Works again from now on.
    pub(in crate::state) fn mend(&self) {
        self.world().failing = None;
    }

    pub(in crate::state) fn plant(&self, mutant: Option<Mutant>) {
        self.world().mutant = mutant;
    }

    /// Lets somebody do something before an operation.
    pub(in crate::state) fn at(&self, operation: usize, step: impl FnOnce(&SimDisk) + Send + 'static) {
        self.world().steps.push((operation, Box::new(step)));
    }

    /// Lets everybody do what has not been done yet.
    pub(in crate::state) fn run_steps(&self) {
        loop {
            let mut world = self.world();
            let Some(next) = (0..world.steps.len()).min_by_key(|index| world.steps[*index].0) else {
                return;
            };
            let (_, step) = world.steps.remove(next);
            drop(world);
            step(self);
        }
    }

    pub(in crate::state) fn advance(&self, time: Duration) {
        self.world().clock += time;
    }

    pub(in crate::state) fn content(&self, path: &Path) -> Option<Vec<u8>> {
        let world = self.world();
        world.file(path).ok().map(|id| world.files[id].now.clone())
    }

    pub(in crate::state) fn file_names(&self) -> Vec<PathBuf> {
        self.world().names.keys().cloned().collect()
    }

    /// Which file has this name now.
    pub(in crate::state) fn open(&self, path: &Path) -> Option<usize> {
        self.world().file(path).ok()
    }

    pub(in crate::state) fn truncate(&self, id: usize) {
        let file = &mut self.world().files[id];
        file.now.clear();
        file.pending.push(Piece::Truncate);
        file.version += 1;
    }

    pub(in crate::state) fn write(&self, id: usize, bytes: &[u8]) {
        self.world().files[id].append(bytes);
    }

    /// Puts a new file in the place of whatever is there, as a save by renaming does.
    pub(in crate::state) fn put(&self, path: &Path, bytes: &[u8]) -> usize {
        let mut world = self.world();
        let id = world.new_file();
        world.files[id].append(bytes);
        world.set(vec![(path.to_owned(), Some(Node::File(id)))]);
        id
    }

    pub(in crate::state) fn take_away(&self, path: &Path) {
        self.world().set(vec![(path.to_owned(), None)]);
    }

    /// Everything that is there becomes durable.
    pub(in crate::state) fn settle(&self) {
        let mut world = self.world();
        world.files.iter_mut().for_each(File::sync);
        world.unsynced.clear();
        world.durable = world.names.clone();
    }

    /// Disks that a loss of power at this moment may leave, `limit` of them at most.
    pub(in crate::state) fn after_power_loss(&self, chance: &mut Chance, limit: usize) -> Vec<SimDisk> {
        let world = self.world();
        let count = world.unsynced.len();
        let mut subsets: Vec<Vec<bool>> = Vec::new();
        if count <= 5 {
            subsets.extend((0..1_usize << count).map(|bits| (0..count).map(|op| bits >> op & 1 == 1).collect()));
        } else {
            subsets.extend((0..=count).map(|kept| (0..count).map(|op| op < kept).collect()));
            subsets.extend((0..24).map(|_| (0..count).map(|_| chance.below(2) == 1).collect()));
        }
        let mut disks = Vec::new();
        for subset in subsets {
            let names = world.names_after(&subset);
            disks.push(world.restart(names.clone(), |file| file.image(file.pending.len(), None)));
            disks.push(world.restart(names.clone(), |file| file.synced.clone()));
            for _ in 0..4 {
                disks.push(world.restart(names.clone(), |file| {
                    let mut variants = file.variants();
                    variants.swap_remove(chance.below(variants.len()))
                }));
            }
        }
        while disks.len() > limit {
            disks.swap_remove(chance.below(disks.len()));
        }
        disks
    }

    fn operate(&self) -> io::Result<MutexGuard<'_, World>> {
        loop {
            let mut world = self.world();
            let now = world.operations;
            match world.steps.iter().position(|(at, _)| *at <= now) {
                Some(due) => {
                    let (_, step) = world.steps.remove(due);
                    drop(world);
                    step(self);
                }
                None => break,
            }
        }
        let mut world = self.world();
        let operation = world.operations;
        world.operations += 1;
        if world.crash_at.is_some_and(|at| operation >= at) {
            return Err(io::Error::other("there is no power"));
        }
        if let Some(failing) = world.failing
            && (failing.from..failing.from.saturating_add(failing.width)).contains(&operation)
        {
            return Err(io::Error::from_raw_os_error(failing.error));
        }
        Ok(world)
    }
}

impl World {
    fn new_file(&mut self) -> usize {
        self.files.push(File::default());
        self.files.len() - 1
    }

    fn file(&self, path: &Path) -> io::Result<usize> {
        match self.names.get(path) {
            Some(Node::File(id)) => Ok(*id),
            Some(Node::Directory) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn node(&self, path: &Path) -> io::Result<Node> {
        self.names
            .get(path)
            .copied()
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// One operation on names, which becomes durable as a whole.
    fn set(&mut self, names: Vec<(PathBuf, Option<Node>)>) {
        apply(&mut self.names, &names);
        self.unsynced.push(names);
    }

    fn sync_names(&mut self, directory: &Path) {
        let (synced, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut self.unsynced)
            .into_iter()
            .partition(|names| names.iter().any(|(path, _)| parent(path) == directory));
        synced.iter().for_each(|names| apply(&mut self.durable, names));
        self.unsynced = rest;
    }

    fn names_after(&self, subset: &[bool]) -> BTreeMap<PathBuf, Node> {
        let mut names = self.durable.clone();
        for (operation, _) in self.unsynced.iter().zip(subset).filter(|(_, kept)| **kept) {
            apply(&mut names, operation);
        }
        let all = names.clone();
        names.retain(|path, _| parent(path) == Path::new("/") || all.contains_key(parent(path)));
        names
    }

    fn restart(&self, names: BTreeMap<PathBuf, Node>, mut content: impl FnMut(&File) -> Vec<u8>) -> SimDisk {
        let mut world = World {
            durable: names.clone(),
            names,
            clock: self.clock + Duration::from_secs(100),
            nonce: self.nonce + 1000,
            mutant: self.mutant,
            ..World::default()
        };
        for file in &self.files {
            let bytes = content(file);
            world.files.push(File {
                now: bytes.clone(),
                synced: bytes,
                pending: Vec::new(),
                version: file.version,
            });
        }
        SimDisk(Arc::new(Mutex::new(world)))
    }
}

fn apply(names: &mut BTreeMap<PathBuf, Node>, operation: &[(PathBuf, Option<Node>)]) {
    for (path, node) in operation {
        match node {
            Some(node) => names.insert(path.clone(), *node),
            None => names.remove(path),
        };
    }
}

fn is_segment(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| name.to_string_lossy().starts_with("j-"))
}

fn is_kept(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| name.to_string_lossy().starts_with("prev-"))
}
