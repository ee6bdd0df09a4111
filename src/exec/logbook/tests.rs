//! What is written is read back, whatever was torn in between.

use super::*;
use assert_fs::TempDir;

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
        append_to(logbook.path(), line).unwrap();
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
    append(&file, &ended("b", 4)).unwrap();
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
fn the_end_is_seen_when_it_comes_and_not_before_its_line_is_whole() {
    let dir = TempDir::new().unwrap();
    let book = logbook(&dir, &[start("a")]);
    let mut watch = EndWatch::new(book.path(), "a").unwrap();
    assert_eq!(watch.look().unwrap(), None);
    append_to(book.path(), &ended("b", 1)).unwrap();
    let mut line = b"\n".to_vec();
    serde_json::to_writer(&mut line, &ended("a", 2)).unwrap();
    let mut file = File::options().append(true).open(book.path()).unwrap();
    file.write_all(&line[..30]).unwrap();
    assert_eq!(watch.look().unwrap(), None);
    file.write_all(&line[30..]).unwrap();
    file.write_all(b"\n").unwrap();
    assert_eq!(watch.look().unwrap(), Some(end(2)));
}
