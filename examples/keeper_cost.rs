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

/// How many commands of one kind are run before it is the next kind's turn.
const TURN: usize = 50;

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
    let rounds = std::env::args().nth(1).map_or(Ok(40), |word| word.parse())?;
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
        logbook: logbook.path().into(),
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
    for round in 0..=rounds {
        for (kind, samples) in kinds.iter().zip(&mut taken) {
            for _ in 0..TURN {
                let began = Instant::now();
                kind.1()?;
                // The first round only warms up.
                if round > 0 {
                    samples.push(began.elapsed().as_secs_f64() * 1e6);
                }
            }
        }
    }
    let base = figures(&mut taken[0]);
    let mut out = std::io::stdout();
    for ((name, _), samples) in kinds.iter().zip(&mut taken) {
        let (median, mean) = figures(samples);
        writeln!(
            out,
            "{name:32} median {median:7.1} us ({:+6.1})   mean {mean:7.1} us ({:+6.1})   of {}",
            median - base.0,
            mean - base.1,
            samples.len()
        )?;
    }
    std::fs::remove_dir_all(&place)?;
    Ok(())
}

/// The median, and the mean of what lies between the tenth and the ninetieth percentile.
fn figures(samples: &mut [f64]) -> (f64, f64) {
    samples.sort_by(f64::total_cmp);
    let inner = &samples[samples.len() / 10..samples.len() * 9 / 10];
    (
        samples[samples.len() / 2],
        inner.iter().sum::<f64>() / inner.len() as f64,
    )
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
