//! What is written is read back, whatever was torn in between.

use super::*;
use crate::corpus::{any_worse, mutations, places, replay};
use assert_fs::TempDir;
use proptest::prelude::*;

fn start(id: &str) -> Line {
    Line::Start(Start {
        id: id.into(),
        label: format!("label of {id}"),
        process: ProcessName { pid: 7, started: 70 },
        keeper: ProcessName { pid: 5, started: 50 },
        began: 1.5,
        log: "logs/train.log".into(),
        log_start: 12,
        capture: None,
    })
}

fn end(code: i32) -> End {
    End {
        code: Some(code),
        signal: None,
        why: None,
        seconds: 0.25,
        max_rss_kib: 900,
        user_seconds: 0.1,
        system_seconds: 0.1,
        machine_oom_kills: 0,
        cgroup_oom_kills: 0,
        log_end: 99,
        survivors: vec![],
        unix_ms: 1,
    }
}

fn ended(id: &str, code: i32) -> Line {
    Line::End {
        id: id.into(),
        end: end(code),
    }
}

fn logbook(dir: &TempDir, lines: &[Line]) -> Logbook {
    let logbook = Logbook::create(&dir.path().join("train.1"), "train 1").unwrap();
    for line in lines {
        logbook.append(line).unwrap();
    }
    logbook
}

fn read(dir: &TempDir) -> Vec<Entry> {
    Logbook::open(&dir.path().join("train.1"), "train 1")
        .unwrap()
        .unwrap()
        .1
}

#[test]
fn starts_and_ends_are_read_back_as_they_were_written() {
    let dir = TempDir::new().unwrap();
    let stop = Line::Stop {
        id: "b".into(),
        why: Why::Timeout,
    };
    logbook(&dir, &[start("a"), start("b"), ended("a", 3), stop, ended("b", 0)]);
    let read = read(&dir);
    assert_eq!(read[0].end, Some(end(3)));
    assert_eq!((read[0].label.as_str(), read[0].process.started), ("label of a", 70));
    assert_eq!(read[1].end.as_ref().unwrap().why, Some(Why::Timeout));
}

#[test]
fn a_line_that_was_torn_takes_no_other_along() {
    let dir = TempDir::new().unwrap();
    let book = logbook(&dir, &[start("a"), start("b")]);
    let mut file = File::options().append(true).open(book.path()).unwrap();
    file.write_all(b"\n{\"end\":{\"id\":\"a\",\"end\":{\"code\":0,\"sec")
        .unwrap();
    assert!(read(&dir).iter().all(|entry| entry.end.is_none()));
    append(&file, [&ended("b", 4)]).unwrap();
    let read = read(&dir);
    assert_eq!(read[0].end, None);
    assert_eq!(read[1].end, Some(end(4)));
}

#[test]
fn a_logbook_of_something_else_or_of_another_boot_or_a_copy_is_not_taken() {
    let dir = TempDir::new().unwrap();
    let book = logbook(&dir, &[start("a")]);
    let place = dir.path().join("train.1");
    assert!(Logbook::open(&place, "train 2").unwrap().is_none());
    assert!(Logbook::open(&dir.path().join("none"), "train 1").unwrap().is_none());

    let copy = dir.path().join("copy");
    fs::create_dir(&copy).unwrap();
    fs::copy(book.path(), copy.join(FILE_NAME)).unwrap();
    assert!(Logbook::open(&copy, "train 1").unwrap().is_none());
    let moved = dir.path().join("moved");
    fs::rename(&place, &moved).unwrap();
    assert!(Logbook::open(&moved, "train 1").unwrap().is_some());

    let text = fs::read_to_string(moved.join(FILE_NAME)).unwrap();
    fs::write(moved.join(FILE_NAME), text.replace(boot_id(), "an-earlier-boot")).unwrap();
    assert!(Logbook::open(&moved, "train 1").unwrap().is_none());
}

#[test]
fn a_logbook_serves_one_attempt_after_the_other_and_tells_of_the_last_only() {
    let dir = TempDir::new().unwrap();
    let shelf = Shelf::default();
    let first = shelf.take(dir.path(), "train 1").unwrap();
    first.append(&start("a")).unwrap();
    let beside = shelf.take(dir.path(), "eval 1").unwrap();
    assert_ne!(beside, first, "it is in use");
    shelf.put_back(first.clone());
    let second = shelf.take(dir.path(), "train 2").unwrap();
    assert_eq!(second, first);
    second.append(&start("b")).unwrap();
    // What was on its way to the earlier attempt.
    first.append(&ended("a", 0)).unwrap();
    let find = |title: &str| Logbook::find(dir.path(), title).unwrap();
    assert!(find("train 1").is_none());
    let (found, entries) = find("train 2").unwrap();
    assert_eq!((found, entries.len(), entries[0].id.as_str()), (second, 1, "b"));
    assert_eq!(find("eval 1").unwrap().1, []);
    assert!(Logbook::find(&dir.path().join("none"), "train 2").unwrap().is_none());
    fs::write(dir.path().join("0 no logbook"), "x").unwrap();
    assert!(find("train 2").is_some() && find("train 3").is_none());
}

#[test]
fn a_logbook_that_is_long_or_was_removed_serves_nobody_else() {
    let dir = TempDir::new().unwrap();
    let shelf = Shelf::default();
    let removed = shelf.take(dir.path(), "a 1").unwrap();
    fs::remove_dir_all(parent(removed.path())).unwrap();
    shelf.put_back(removed);
    let book = shelf.take(dir.path(), "b 1").unwrap();
    assert!(Logbook::find(dir.path(), "b 1").unwrap().is_some());
    for number in 0..1000 {
        book.append(&start(&format!("a command with a long name {number}")))
            .unwrap();
    }
    shelf.put_back(book.clone());
    assert!(!book.path().exists());
    assert_ne!(shelf.take(dir.path(), "c 1").unwrap(), book);
}

#[test]
fn a_new_host_leaves_the_logbooks_of_an_earlier_one_alone() {
    let dir = TempDir::new().unwrap();
    let earlier = Shelf::default().take(dir.path(), "train 1").unwrap();
    earlier.append(&start("a")).unwrap();
    let shelf = Shelf::default();
    assert_ne!(shelf.take(dir.path(), "eval 1").unwrap(), earlier);
    assert_eq!(Logbook::find(dir.path(), "train 1").unwrap().unwrap().1.len(), 1);
}

#[test]
fn the_end_is_seen_when_it_comes_and_not_before_its_line_is_whole() {
    let dir = TempDir::new().unwrap();
    let book = logbook(&dir, &[start("a")]);
    let mut watch = EndWatch::new(book.path(), "a").unwrap();
    assert_eq!(watch.look().unwrap(), None);
    book.append(&ended("b", 1)).unwrap();
    let mut line = b"\n".to_vec();
    serde_json::to_writer(&mut line, &ended("a", 2)).unwrap();
    let mut file = File::options().append(true).open(book.path()).unwrap();
    file.write_all(&line[..30]).unwrap();
    assert_eq!(watch.look().unwrap(), None);
    file.write_all(&line[30..]).unwrap();
    file.write_all(b"\n").unwrap();
    assert_eq!(watch.look().unwrap(), Some(end(2)));
}

/// What must be so of any bytes, cut anywhere: what is told of a command once is told of it ever after, and watching a logbook
/// grow sees the same end as reading it at once.
fn laws(bytes: &[u8], cut: usize) -> Result<(), String> {
    let (part, whole) = (entries(&bytes[..cut]), entries(bytes));
    for (index, entry) in part.iter().enumerate() {
        let later = whole
            .get(index)
            .ok_or_else(|| format!("cut at {cut}: {} is gone", entry.id))?;
        let same =
            (&later.id, later.process, later.began, &later.log) == (&entry.id, entry.process, entry.began, &entry.log);
        // Several ends of one command are no logbook of ours; the last one counts.
        let ended = entry.end.is_none() || later.end.is_some();
        if !same || !ended || (entry.taken && !later.taken) {
            return Err(format!("cut at {cut}: {entry:?} becomes {later:?}"));
        }
    }
    let Some(id) = whole
        .iter()
        .find(|entry| entry.end.is_some())
        .map(|entry| entry.id.clone())
    else {
        return Ok(());
    };
    let first_end = lines(bytes).find_map(|line| match line {
        Line::End { id: ended, end } if ended == id => Some(end),
        _ => None,
    });
    let dir = TempDir::new().map_err(|error| error.to_string())?;
    let path = dir.path().join(FILE_NAME);
    let mut file = File::create(&path).map_err(|error| error.to_string())?;
    let mut watch = EndWatch::new(&path, &id).map_err(|error| error.to_string())?;
    let mut seen = None;
    for part in [&bytes[..cut], &bytes[cut..], b"\n"] {
        file.write_all(part).map_err(|error| error.to_string())?;
        seen = seen.or(watch.look().map_err(|error| error.to_string())?);
    }
    if seen == first_end {
        Ok(())
    } else {
        Err(format!("cut at {cut}: {seen:?} is seen, {first_end:?} is there"))
    }
}

#[test]
fn every_logbook_of_the_corpus_tells_more_the_longer_it_is_and_is_watched_as_it_is_read() {
    replay("logbook", |sample| {
        let step = 1 + sample.bytes.len() / 200;
        places(sample.bytes.len())
            .step_by(step)
            .try_for_each(|cut| laws(&sample.bytes, cut))
    });
}

#[test]
fn a_damaged_logbook_tells_all_that_its_whole_lines_tell() {
    replay("logbook", |sample| {
        let step = 1 + sample.bytes.len() / 500;
        let told = |bytes: &[u8]| lines(bytes).map(|line| format!("{line:?}")).collect::<Vec<_>>();
        for hurt in mutations(&sample.bytes).step_by(step) {
            let mut rest = told(&hurt.bytes).into_iter();
            let mut start = 0;
            for line in sample.bytes.split_inclusive(|byte| *byte == b'\n') {
                let range = start..start + line.len();
                start = range.end;
                let untouched = range.end <= hurt.touched.start || range.start >= hurt.touched.end;
                let begins = range.start == 0 || hurt.bytes[range.start - 1] == b'\n';
                for told in told(line).into_iter().filter(|_| untouched && begins) {
                    if !rest.any(|other| other == told) {
                        return Err(format!("{:?} damaged: {told} is gone", hurt.touched));
                    }
                }
            }
        }
        Ok(())
    });
}

/// What logbooks are made of.
const WORDS: &[&str] = &[
    "\n",
    "\0",
    "{",
    "}",
    "\"",
    "{\"taken\":{\"id\":\"a\"}}",
    "\n{\"end\":",
    "null",
    "\"why\":\"timeout\",",
    "-",
    "e9",
];

proptest! {
    #[test]
    fn a_logbook_with_anything_done_to_it_keeps_the_laws(
        bytes in any_worse("logbook", WORDS), cut in any::<prop::sample::Index>()
    ) {
        laws(&bytes, cut.index(bytes.len() + 1)).map_err(TestCaseError::fail)?;
    }
}
