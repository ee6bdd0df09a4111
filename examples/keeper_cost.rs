//! What it costs to start a command through a keeper: microseconds a command, against plain spawn and wait in this process and
//! against the executor without a keeper, taken in turns in the same run.
//!
//! `cargo run --release --example keeper_cost [ROUNDS]`

use std::fs::File;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{ExitCode, Stdio};
use std::time::Instant;

use jumar::exec::{Command, Executor, KEEPER_ARGUMENT, Keeping, Local, Logbook, Note, Program, StopSignal, keep};

/// How many rounds are not counted.
const WARM_UP: usize = 50;

type Error = Box<dyn std::error::Error>;
/// One way to run a command, and its name.
type Kind<'a> = (&'a str, &'a dyn Fn() -> Result<(), Error>);

fn main() -> ExitCode {
    // The example is its own keeper.
    if std::env::args().nth(1).is_some_and(|word| word == KEEPER_ARGUMENT) {
        return keep().map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS);
    }
    match measure() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

fn measure() -> Result<(), Error> {
    let rounds = std::env::args()
        .nth(1)
        .map_or(Ok(2000), |word| word.parse::<usize>())?
        .max(1);
    let place = std::env::temp_dir().join(format!("keeper_cost-{}", std::process::id()));
    std::fs::create_dir_all(&place)?;
    let direct = Local::new();
    let kept = Local::new();
    kept.keep(Keeping {
        program: "/proc/self/exe".into(),
        title: "jumar keeper: cost".into(),
        lock: place.join("keeper"),
    });
    let logbook = Logbook::create(&place.join("commands"), "cost")?;
    let mut command = Command::new(Program::Argv(vec!["/bin/true".into()]), place.join("log"));
    let bare = command.clone();
    command.note = Some(Note {
        logbook: logbook.clone(),
        label: "label".into(),
    });
    let stop = StopSignal::new();
    let kinds: [Kind<'_>; 4] = [
        ("plain spawn and wait", &|| plain(&place)),
        ("executor, no keeper, not noted", &|| ended(&direct, &bare, &stop)),
        ("executor, no keeper, noted", &|| ended(&direct, &command, &stop)),
        ("executor with keeper, noted", &|| ended(&kept, &command, &stop)),
    ];
    let mut taken = [const { Vec::new() }; 4];
    for round in 0..WARM_UP + rounds {
        for (kind, samples) in kinds.iter().zip(&mut taken) {
            let began = Instant::now();
            kind.1()?;
            if round >= WARM_UP {
                samples.push(began.elapsed().as_secs_f64() * 1e6);
            }
        }
    }
    let mut out = std::io::stdout();
    let plain = taken[0].clone();
    for ((name, _), samples) in kinds.iter().zip(&mut taken) {
        // Compared with the plain one of the same round: what else the machine does hits both.
        let mut more: Vec<f64> = samples.iter().zip(&plain).map(|(one, base)| one - base).collect();
        let [low, tenth, median] = [0.01, 0.1, 0.5].map(|part| quantile(samples, part));
        writeln!(
            out,
            "{name:30} us at the 1st, 10th, 50th percentile: {low:6.1} {tenth:6.1} {median:6.1}; over plain, in the middle: {:+6.1}",
            quantile(&mut more, 0.5),
        )?;
    }
    std::fs::remove_dir_all(&place)?;
    Ok(())
}

fn quantile(samples: &mut [f64], part: f64) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[(samples.len() as f64 * part) as usize]
}

/// What a program does that wants its command's status and nothing else.
fn plain(place: &Path) -> Result<(), Error> {
    let log = File::options().append(true).create(true).open(place.join("log"))?;
    let mut child = std::process::Command::new("/bin/true")
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()?;
    child.wait()?;
    Ok(())
}

fn ended(executor: &Local, command: &Command, stop: &StopSignal) -> Result<(), Error> {
    executor.run(command, stop)?;
    Ok(())
}
