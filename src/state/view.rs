//! The state file on the disk: what it held when we looked last, what became of it since, and how it is replaced.
//!
//! Editors do not save in one step: some empty the file and write into it, some take it away and put a new one in its
//! place, some hold the old one open and write into that after it was replaced. So a file that looks half saved is
//! looked at again later, and a file that was replaced is kept for a while and looked at, too.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crc32c::{crc32c, crc32c_append};

use super::disk::{self, Disk, Mark, SIZE_LIMIT, failure, parent, unreadable};
use super::error::StateError;
use super::page::{self, Page};
use super::shown::Noted;

/// How long a file may look half saved, or not be there, before it is believed to be so.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a text that does not say whether it is whole has to hold still.
const SETTLED: Duration = Duration::from_millis(300);
/// Pauses between looks when somebody waits, and how many.
const PAUSE: Duration = Duration::from_millis(100);
const PAUSES: u32 = 3;
/// Clocks of file systems stand still for so long: a mark is believed when it is older.
const GRAIN: Duration = Duration::from_millis(50);
/// How long a replaced file is kept: an editor may have it open.
const KEPT: Duration = Duration::from_secs(2);
/// A look at those costs a system call each: this much time passes between two, but for the last look.
const BETWEEN_LOOKS_AT_KEPT: Duration = Duration::from_millis(50);
/// Making a text and replacing the file with it takes at most this part of the time …
const COST_SHARE: u32 = 20;
/// … and comes no more often than this …
const INTERVAL: Duration = Duration::from_millis(200);
/// … with so much of it in advance: a run of a few phases shows each of them at once.
const ADVANCE: Duration = Duration::from_secs(2);
const KEPT_PREFIX: &str = "prev-";

/// Whether to wait for an editor that is in the middle of saving.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    /// Somebody will look again.
    Later,
    /// This is the last look for a while.
    Now,
}

/// What became of the file.
#[derive(Debug)]
pub(super) enum Sighting {
    Same,
    /// Somebody saved a state.
    Saved {
        bytes: Vec<u8>,
        page: Page,
        user: Option<u32>,
        /// It was saved into a file that had been replaced already.
        late: bool,
    },
    /// It looks half saved; look again later.
    Unclear,
    /// It is no state, and will not become one.
    Spoilt {
        why: String,
        bytes: Option<Vec<u8>>,
    },
    /// It is not there, or it is there and nothing is in it.
    Gone {
        exists: bool,
    },
}

/// What came of replacing it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Installed {
    Done,
    /// Somebody saved in that moment; the text is to be made anew.
    Overtaken,
    /// Somebody is saving.
    Unclear,
}

/// The state file.
#[derive(Debug)]
pub(super) struct View {
    disk: Arc<dyn Disk>,
    file: PathBuf,
    shown: PathBuf,
    directory: PathBuf,
    known: Option<Vec<u8>>,
    /// What is known, in place of the text itself.
    noted: Option<Noted>,
    /// Whether it is known that there is no file.
    absent: bool,
    mark: Option<Mark>,
    /// Whether an equal mark means an equal content.
    sure: bool,
    /// A content that was read before the first look, with what it is: telling that takes long for a large file.
    judged: Option<(Vec<u8>, Page)>,
    unclear: Option<Unclear>,
    kept: Vec<Kept>,
    looked_at_kept: Duration,
    /// When the file was replaced last.
    replaced: Option<Duration>,
    /// The time by which what replacing it has cost so far is no more than its part.
    worked_off: Duration,
    not_before: Duration,
    number: u32,
}

/// What looked half saved, and since when.
#[derive(Debug)]
struct Unclear {
    mark: Option<Mark>,
    since: Duration,
}

/// A file that was replaced. Its name tells the checksum of its content.
#[derive(Debug)]
struct Kept {
    path: PathBuf,
    sum: u32,
    mark: Option<Mark>,
    since: Duration,
}

impl View {
    /// The file at a place, of which nothing is known yet.
    pub(super) fn new(disk: Arc<dyn Disk>, file: PathBuf, shown: PathBuf, directory: PathBuf) -> Self {
        let mut view = View {
            disk,
            file,
            shown,
            directory,
            known: None,
            noted: None,
            absent: false,
            mark: None,
            sure: false,
            judged: None,
            unclear: None,
            kept: Vec::new(),
            looked_at_kept: Duration::ZERO,
            replaced: None,
            worked_off: Duration::ZERO,
            not_before: Duration::ZERO,
            number: 0,
        };
        view.find_kept();
        view
    }

    /// The file's place.
    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// What it is called in messages from now on.
    pub(super) fn name(&mut self, shown: &Path) {
        self.shown = shown.to_owned();
    }

    /// Puts the next try off.
    pub(super) fn postpone(&mut self, time: Duration) {
        self.not_before = self.disk.clock() + time;
    }

    /// Whether nothing has been taken in or written yet, or nothing was in it.
    pub(super) fn knows_nothing(&self) -> bool {
        self.known().is_empty() && self.noted.is_none()
    }

    /// The content that was taken in or written last; nothing before [`View::load`], when it is only noted.
    pub(super) fn known(&self) -> &[u8] {
        self.known.as_deref().unwrap_or_default()
    }

    /// Takes note of what is there.
    pub(super) fn set_known(&mut self, bytes: Option<Vec<u8>>) {
        self.absent = bytes.is_none();
        self.known = bytes;
        self.noted = None;
        self.mark = None;
        self.sure = false;
        self.unclear = None;
    }

    /// Takes note of what was read after this mark was made of it.
    pub(super) fn set_read(&mut self, bytes: Vec<u8>, mark: Option<Mark>) {
        self.set_known(Some(bytes));
        self.set_mark(mark);
    }

    /// As [`View::set_read`], without the text.
    pub(super) fn set_noted(&mut self, noted: Noted, mark: Option<Mark>) {
        self.set_known(None);
        self.absent = false;
        self.noted = Some(noted);
        self.set_mark(mark);
    }

    fn set_mark(&mut self, mark: Option<Mark>) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let is_settled =
            |mark: &Mark| i128::try_from(now.as_nanos()).unwrap_or(0) - mark.changed.0 > GRAIN.as_nanos() as i128;
        self.mark = mark.filter(is_settled);
        self.sure = self.mark.is_some();
    }

    /// Reads the text that is only noted. Returns whether it is known now; if not, somebody has saved meanwhile, and the next
    /// look sees it.
    ///
    /// # Errors
    /// What the system said.
    pub(super) fn load(&mut self) -> io::Result<bool> {
        let Some(noted) = &self.noted else { return Ok(true) };
        let bytes = match self.disk.read(&self.file, SIZE_LIMIT) {
            Ok(bytes) => bytes,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::FileTooLarge) => Vec::new(),
            Err(error) => return Err(error),
        };
        let is_known = noted.is(&bytes);
        if is_known {
            (self.known, self.noted) = (Some(bytes), None);
        } else {
            self.sure = false;
            self.mark = None;
        }
        Ok(is_known)
    }

    /// Spares the first look to judge a content that somebody has judged already.
    pub(super) fn set_judged(&mut self, bytes: Vec<u8>, page: Page) {
        self.judged = Some((bytes, page));
    }

    /// When the file may be replaced next, by the disk's clock.
    pub(super) fn due(&self) -> Duration {
        self.worked_off.saturating_sub(ADVANCE).max(self.not_before)
    }

    /// Looks what became of the file, and of those that were replaced.
    ///
    /// # Errors
    /// [`StateError::Unreadable`] and [`StateError::IsDirectory`]: nothing can be said about the content.
    pub(super) fn look(&mut self, patience: Patience) -> Result<Sighting, StateError> {
        let now = self.disk.clock();
        if patience == Patience::Now || now >= self.looked_at_kept + BETWEEN_LOOKS_AT_KEPT {
            self.looked_at_kept = now;
            if let Some(late) = self.look_at_kept() {
                return Ok(late);
            }
        }
        let mut pauses = 0;
        loop {
            let sighting = self.look_once(patience, pauses)?;
            if !matches!(sighting, Sighting::Unclear) || patience == Patience::Later {
                return Ok(sighting);
            }
            self.disk.pause(PAUSE);
            pauses += 1;
        }
    }

    fn look_once(&mut self, patience: Patience, pauses: u32) -> Result<Sighting, StateError> {
        let mark = match self.disk.mark(&self.file) {
            Ok(mark) => Some(mark),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(unreadable(&*self.disk, &self.file, &self.shown, error)),
        };
        let is_new = self.replaced.is_some_and(|at| self.disk.clock() < at + GRAIN);
        // While it is new an equal mark proves nothing; but to read it at each look would cost more than all else, and
        // there will be another.
        let will_do = self.sure || (is_new && patience == Patience::Later);
        if will_do && mark.is_some() && mark == self.mark {
            return Ok(Sighting::Same);
        }
        if mark.is_none() && self.absent {
            return Ok(Sighting::Same);
        }
        let bytes = match self.disk.read(&self.file, SIZE_LIMIT) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => match unreadable(&*self.disk, &self.file, &self.shown, error) {
                error @ StateError::TooLarge { .. } => {
                    return Ok(Sighting::Spoilt {
                        why: error.to_string(),
                        bytes: None,
                    });
                }
                error => return Err(error),
            },
        };
        let is_known = match &self.noted {
            Some(noted) => noted.is(&bytes),
            None => self.known.as_ref().is_some_and(|known| *known == bytes),
        };
        if mark.is_some() && is_known {
            if self.noted.take().is_some() {
                self.known = Some(bytes);
            }
            self.sure = !is_new && self.mark == mark;
            self.mark = mark;
            self.unclear = None;
            return Ok(Sighting::Same);
        }
        let page = match self.judged.take() {
            Some((judged, page)) if judged == bytes => page,
            _ => page::judge(&bytes, &self.shown),
        };
        let settled = match &page {
            Page::Whole(_) | Page::Wrong(_) => true,
            Page::Loose(_) => self.has_held(&mark, SETTLED, patience, pauses),
            Page::Blank | Page::Cut(_) => self.has_held(&mark, PATIENCE, patience, pauses),
        };
        if !settled {
            return Ok(Sighting::Unclear);
        }
        self.unclear = None;
        Ok(match page {
            Page::Blank => Sighting::Gone { exists: mark.is_some() },
            Page::Cut(why) => Sighting::Spoilt {
                why,
                bytes: Some(bytes),
            },
            Page::Wrong(error) => Sighting::Spoilt {
                why: error.to_string(),
                bytes: Some(bytes),
            },
            page => Sighting::Saved {
                bytes,
                page,
                user: mark.map(|mark| mark.user),
                late: false,
            },
        })
    }

    /// Whether the file has been like this for some time.
    fn has_held(&mut self, mark: &Option<Mark>, time: Duration, patience: Patience, pauses: u32) -> bool {
        let now = self.disk.clock();
        match &self.unclear {
            Some(unclear) if unclear.mark == *mark => {
                now >= unclear.since + time || (patience == Patience::Now && pauses >= PAUSES)
            }
            _ => {
                self.unclear = Some(Unclear {
                    mark: mark.clone(),
                    since: now,
                });
                // Should the file never hold still, nobody waits for ever.
                patience == Patience::Now && pauses >= 10 * PAUSES
            }
        }
    }

    /// Puts a text, on which work began at `begun` by the disk's clock, in the place of the file. What is there really
    /// is looked at afterwards, and not lost when it is something else than what is known.
    ///
    /// # Errors
    /// What the system said; the file is whole, be it the old text or the new one.
    pub(super) fn install(&mut self, text: String, begun: Duration) -> io::Result<Installed> {
        let expected = self.known.take();
        let result = self.replace(&text, expected.as_deref(), self.disk.clock());
        match result {
            Ok(Installed::Done | Installed::Overtaken) => {
                self.set_known(Some(text.into_bytes()));
                self.mark = self.disk.mark(&self.file).ok();
                let now = self.disk.clock();
                let cost = now.saturating_sub(begun);
                self.replaced = Some(now);
                self.worked_off = self.worked_off.max(now) + INTERVAL.max(cost * COST_SHARE);
                self.drop_kept();
            }
            _ => self.set_known(expected),
        }
        result
    }

    fn replace(&mut self, text: &str, expected: Option<&[u8]>, begun: Duration) -> io::Result<Installed> {
        let sum = crc32c(expected.unwrap_or_default());
        let beside = self.fresh_name(sum);
        let mut file = self.disk.create(&beside, Some(&self.file))?;
        let written = file.append(text.as_bytes()).and_then(|()| file.sync());
        drop(file);
        let placed = written.and_then(|()| match expected {
            Some(_) => self.disk.exchange(&beside, &self.file),
            None => self.disk.rename_new(&beside, &self.file),
        });
        if let Err(error) = placed {
            let _ = self.disk.remove(&beside);
            return match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::AlreadyExists => Ok(Installed::Overtaken),
                _ => Err(error),
            };
        }
        let synced = self.disk.sync_directory(parent(&self.file));
        let Some(expected) = expected else {
            return synced.map(|()| Installed::Done);
        };
        let mark = self.disk.mark(&beside).ok();
        let swapped = self.disk.read(&beside, SIZE_LIMIT).ok();
        let same = swapped.as_deref() == Some(expected);
        if let (false, Some(swapped)) = (same, &swapped)
            && matches!(page::judge(swapped, &self.shown), Page::Blank | Page::Cut(_))
        {
            self.disk.exchange(&beside, &self.file)?;
            let _ = self.disk.remove(&beside);
            return Ok(Installed::Unclear);
        }
        self.kept.push(Kept {
            path: beside,
            sum,
            mark: mark.filter(|_| same),
            since: begun,
        });
        synced.map(|()| if same { Installed::Done } else { Installed::Overtaken })
    }

    /// Gives the file, in which `bytes` were found (nothing when it was too large to read), a name `….rejected-<n>`,
    /// so that replacing it does not lose it. Returns that name.
    ///
    /// # Errors
    /// [`StateError::Io`]; the file is as it was.
    pub(super) fn keep_aside(&mut self, bytes: Option<Vec<u8>>) -> Result<PathBuf, StateError> {
        let aside = disk::rejected_name(&*self.disk, &self.file);
        let kept = match &bytes {
            Some(_) => self.disk.link(&self.file, &aside),
            None => self.disk.rename_new(&self.file, &aside),
        };
        kept.map_err(failure("keep aside", &self.shown, true))?;
        self.set_known(bytes);
        Ok(aside)
    }

    /// Keeps a text that was replaced by a newer one in the private directory. Returns the file, if that was possible.
    pub(super) fn keep_text(&mut self, text: &[u8]) -> Option<PathBuf> {
        let path = self.directory.join(format!("aside-{:08x}", self.disk.nonce()));
        let mut file = self.disk.create(&path, Some(&self.file)).ok()?;
        file.append(text).and_then(|()| file.sync()).ok().map(|()| path)
    }

    /// A save into a file that had been replaced already.
    fn look_at_kept(&mut self) -> Option<Sighting> {
        for kept in &mut self.kept {
            let Ok(mark) = self.disk.mark(&kept.path) else { continue };
            if kept.mark.as_ref() == Some(&mark) {
                continue;
            }
            let mut sum = 0;
            let read = self
                .disk
                .go_through(&kept.path, SIZE_LIMIT, &mut |piece| sum = crc32c_append(sum, piece));
            if read.is_err() {
                continue;
            }
            if sum == kept.sum {
                kept.mark = Some(mark);
                continue;
            }
            let Ok(bytes) = self.disk.read(&kept.path, SIZE_LIMIT) else {
                continue;
            };
            let sum = crc32c(&bytes);
            let page = page::judge(&bytes, &self.shown);
            if matches!(page, Page::Whole(_) | Page::Loose(_)) {
                kept.sum = sum;
                kept.mark = None;
                return Some(Sighting::Saved {
                    bytes,
                    page,
                    user: Some(mark.user),
                    late: true,
                });
            }
        }
        None
    }

    /// Removes replaced files that nobody can be writing into any more.
    fn drop_kept(&mut self) {
        let now = self.disk.clock();
        let old = |kept: &Kept| now >= kept.since + KEPT;
        while self.kept.len() > 1 && old(&self.kept[0]) {
            let gone = self.kept.remove(0);
            let _ = self.disk.remove(&gone.path);
        }
    }

    /// Files that an earlier host replaced, and texts that it did not come to install.
    fn find_kept(&mut self) {
        let mut names = self.disk.list(&self.directory).unwrap_or_default();
        names.retain(|name| name.starts_with(KEPT_PREFIX));
        names.sort();
        for name in names {
            let mut parts = name[KEPT_PREFIX.len()..].split('-');
            let sum = parts.next().and_then(|sum| u32::from_str_radix(sum, 16).ok());
            self.kept.push(Kept {
                path: self.directory.join(&name),
                sum: sum.unwrap_or(0),
                mark: None,
                since: Duration::ZERO,
            });
        }
    }

    fn fresh_name(&mut self, sum: u32) -> PathBuf {
        self.number += 1;
        let name = format!("{KEPT_PREFIX}{sum:08x}-{:08x}-{}", self.disk.nonce(), self.number);
        self.directory.join(name)
    }
}
