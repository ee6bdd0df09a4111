//! What can be typed: commands, options and their help.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Runs experiment pipelines that never slip back.
///
/// A phase that completed stays completed, whatever happens next: jumar keeps the state in a file that people can read and
/// edit, and resumes exactly where a run failed.
#[derive(Parser, Debug)]
#[command(
    name = "jumar",
    version,
    max_term_width = 100,
    after_help = "`jumar help exit-codes` lists the exit codes.",
    disable_help_subcommand = false
)]
pub(super) struct Arguments {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Args, Debug)]
pub(super) struct Global {
    /// Say only what failed
    #[arg(short, long, global = true, conflicts_with = "verbose", help_heading = "Output")]
    pub quiet: bool,
    /// Show the output of commands; twice: what jumar itself does
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = "Output")]
    pub verbose: u8,
    /// When to use colours (NO_COLOR is honoured)
    #[arg(
        long,
        value_name = "WHEN",
        global = true,
        default_value = "auto",
        help_heading = "Output"
    )]
    pub color: Color,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Color {
    Auto,
    Always,
    Never,
}

#[derive(Subcommand, Debug)]
pub(super) enum Command {
    /// Run a pipeline: a script, or the stock pipeline without one
    #[command(disable_help_flag = true)]
    Run(Box<RunArguments>),
    /// Go on with a run where it failed or was stopped
    #[command(disable_help_flag = true)]
    Resume(Box<ResumeArguments>),
    /// Show how the phases of a run stand
    Status(StatusArguments),
    /// List the runs under runs/
    Runs(RunsArguments),
    /// Compare runs by meaning: outcome, metrics, durations, parameters, code, environment
    Diff(DiffArguments),
    /// Make a page about runs: summary, timeline, failures, metrics; several runs are compared
    Report(ReportArguments),
    /// Show the log of a phase
    Logs(LogsArguments),
    /// Draw the plan of a script: as Mermaid, DOT or SVG
    Graph(GraphArguments),
    /// Edit the state file in $VISUAL or $EDITOR; checked before it is taken
    Edit(EditArguments),
    /// Print one value of a run
    Eval(EvalArguments),
    /// Say of each phase why it will or will not run
    Explain(ExplainArguments),
    /// Say by hand how phases stand: pending, completed, skipped or failed
    Mark(MarkArguments),
    /// Open your shell where a phase's attempt ran, with its environment
    Shell(ShellArguments),
    /// Ask a run and edit its state in a session: Rhai, with completion and staged changes
    Repl(ReplArguments),
    /// Look a script over: parse, lint, plan; nothing is run or written
    Check(CheckArguments),
    /// Prove that a pipeline recovers: fail each phase in every way, with stand-ins for its commands
    Rehearse(RehearseArguments),
    /// Write a pipeline to begin with
    New(NewArguments),
    /// Tell of the functions that scripts can call
    Docs(DocsArguments),
    /// Write definition files for editors that know Rhai
    Definitions(DefinitionsArguments),
    /// List what happened to a run
    History(HistoryArguments),
    /// Take the last change by hand back
    Undo(UndoArguments),
    /// Look a run's files over, and mend them
    Fsck(FsckArguments),
    /// Remove the lock that a jumar which is gone left behind
    Unlock(UnlockArguments),
    /// Print a completion script for a shell
    Completions(CompletionsArguments),
    /// List the exit codes
    #[command(hide = true)]
    ExitCodes,
}

impl Command {
    /// Whether errors, too, are to be JSON.
    pub(super) fn wants_json(&self) -> bool {
        match self {
            Command::Run(a) => a.how.json,
            Command::Resume(a) => a.how.json,
            Command::Status(a) => a.json,
            Command::Runs(a) => a.json,
            Command::Edit(a) => a.json,
            Command::Eval(a) => a.json,
            Command::Explain(a) => a.json,
            Command::Mark(a) => a.json,
            Command::Diff(a) => a.json,
            Command::Report(a) => a.json,
            Command::Graph(a) => a.json,
            Command::Check(a) => a.json,
            Command::Rehearse(a) => a.json,
            Command::History(a) => a.json,
            Command::Undo(a) => a.json,
            Command::Fsck(a) => a.json,
            Command::Unlock(a) => a.json,
            Command::Docs(a) => a.json,
            Command::New(_)
            | Command::Repl(_)
            | Command::Shell(_)
            | Command::Definitions(_)
            | Command::Logs(_)
            | Command::Completions(_)
            | Command::ExitCodes => false,
        }
    }
}

#[derive(Args, Debug)]
pub(super) struct RunArguments {
    /// The pipeline; without it the stock pipeline, whose mode may be named here (quick, train, eval, …)
    #[arg(value_name = "SCRIPT")]
    pub script: Option<String>,
    /// Go on with this run instead of starting one: a run directory, a state file or a run's name
    #[arg(long, value_name = "RUN", help_heading = "Run", conflicts_with_all = ["run_dir", "name"])]
    pub resume: Option<String>,
    /// Put the run into this directory instead of runs/NAME_DATE_TIME
    #[arg(long, value_name = "DIR", help_heading = "Run")]
    pub run_dir: Option<PathBuf>,
    /// Begin the run directory's name with this
    #[arg(long, value_name = "NAME", help_heading = "Run")]
    pub name: Option<String>,
    #[command(flatten)]
    pub how: How,
}

#[derive(Args, Debug)]
pub(super) struct ResumeArguments {
    /// A run directory, a state file, a run's name or its beginning; without it the newest run
    #[arg(value_name = "RUN")]
    pub run: Option<String>,
    #[command(flatten)]
    pub how: How,
}

/// What `run` and `resume` have in common.
#[derive(Args, Clone, Debug)]
pub(super) struct How {
    /// Use this checkpoint instead of training
    #[arg(long, value_name = "PATH", help_heading = "Run")]
    pub checkpoint: Option<String>,
    /// Run this phase alone, by number or name (repeatable)
    #[arg(long, value_name = "N|NAME", help_heading = "Phases")]
    pub phase: Vec<String>,
    /// Run this phase and what depends on it
    #[arg(long, value_name = "PHASE", help_heading = "Phases")]
    pub from: Option<String>,
    /// Run this phase and what it depends on
    #[arg(long, value_name = "PHASE", help_heading = "Phases")]
    pub until: Option<String>,
    /// Run this phase again although it completed (repeatable)
    #[arg(long, value_name = "PHASE", help_heading = "Phases")]
    pub rerun: Vec<String>,
    /// Run again every completed phase that is stale (`jumar explain` says which and why)
    #[arg(long, help_heading = "Phases")]
    pub rerun_stale: bool,
    /// Show the plan, the parameters and the commands; run and write nothing
    #[arg(short = 'n', long, help_heading = "Run")]
    pub dry_run: bool,
    /// Run up to this many independent phases side by side
    #[arg(short, long, value_name = "N", default_value_t = 1, value_parser = jobs, help_heading = "Run")]
    pub jobs: u16,
    /// After a failure, go on with independent phases (the default)
    #[arg(short, long, conflicts_with = "fail_fast", help_heading = "Run")]
    pub keep_going: bool,
    /// After a failure, stop what runs beside it and start nothing more
    #[arg(long, help_heading = "Run")]
    pub fail_fast: bool,
    /// Count on this many GPUs
    #[arg(long, value_name = "N", help_heading = "Run")]
    pub gpus: Option<usize>,
    /// Set a parameter (repeatable)
    #[arg(short, value_name = "KEY=VALUE", help_heading = "Parameters", value_parser = pair)]
    pub parameter: Vec<(String, String)>,
    /// Take parameters from a file: .toml, .yaml, .json or .ini
    #[arg(long, value_name = "FILE", help_heading = "Parameters")]
    pub params: Option<PathBuf>,
    /// Wait while another process has the run in use
    #[arg(long, help_heading = "Run")]
    pub wait: bool,
    /// Take the run over from a host that cannot be asked whether it still runs
    #[arg(long, help_heading = "Run")]
    pub take_over: bool,
    /// When a phase fails, open a session inside it, its variables in reach, before the recovery policy is asked
    #[arg(long, help_heading = "Run", conflicts_with = "no_interactive")]
    pub repl_on_failure: bool,
    /// Never ask anything
    #[arg(short = 'y', long = "no-interactive", visible_alias = "yes", help_heading = "Run")]
    pub no_interactive: bool,
    /// Report in JSON on standard output
    #[arg(long, help_heading = "Output")]
    pub json: bool,
    /// Show this help, with the script's parameters and phases
    #[arg(short, long)]
    pub help: bool,
}

fn jobs(text: &str) -> Result<u16, String> {
    let number = text.parse().ok().filter(|&number| number > 0);
    number.ok_or_else(|| "write how many, from 1 to 65535".into())
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text
        .split_once('=')
        .ok_or_else(|| format!("write KEY=VALUE, not `{text}`"))?;
    if key.is_empty() {
        Err(format!("`{text}` names no parameter"))
    } else {
        Ok((key.into(), value.into()))
    }
}

#[derive(Args, Debug)]
pub(super) struct StatusArguments {
    /// A run directory, a state file, a run's name or its beginning; without it the newest run. RUN@N is that run after
    /// its N-th event, RUN@-N the run N events ago
    #[arg(value_name = "RUN")]
    pub run: Option<String>,
    /// Go on showing it, until the run ends
    #[arg(short, long, conflicts_with = "json")]
    pub watch: bool,
    /// Report in JSON
    #[arg(long, help_heading = "Output")]
    pub json: bool,
}

#[derive(Args, Debug)]
pub(super) struct RunsArguments {
    /// Show these columns: run, status, started, phases, time, trouble, a metric, a parameter, any fact that `diff` knows, or a
    /// group such as metrics or params for all of it that differs
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    pub columns: Vec<String>,
    /// Put the runs into the order of this metric, parameter or duration; with a `-` before it, largest first
    #[arg(long, value_name = "[-]NAME", allow_hyphen_values = true)]
    pub sort: Option<String>,
    /// Report in CSV; without --columns with all metrics and parameters
    #[arg(long, help_heading = "Output", conflicts_with = "json")]
    pub csv: bool,
    /// Report in JSON
    #[arg(long, help_heading = "Output")]
    pub json: bool,
}

#[derive(Args, Debug)]
pub(super) struct DiffArguments {
    /// The runs: directories, state files, names or their beginnings; one run is compared with the newest (the
    /// newest with the one before it), none: the two newest with each other
    #[arg(value_name = "RUN")]
    pub runs: Vec<String>,
    /// Compare only these groups: outcome, metrics, results, durations, resources, failures, attempts, parameters, code,
    /// environment, packages, machine, checkpoints, state
    #[arg(long, value_name = "GROUP,…", value_delimiter = ',')]
    pub only: Vec<String>,
    /// Show also what is the same, and what differs by no more than noise
    #[arg(short, long)]
    pub all: bool,
    /// Put the runs into the order of this metric, parameter or duration; with a `-` before it, largest first
    #[arg(long, value_name = "[-]NAME", allow_hyphen_values = true)]
    pub sort: Option<String>,
    /// Two runs in two columns
    #[arg(short = 'y', long, help_heading = "Output", group = "format")]
    pub side_by_side: bool,
    /// The two state files line by line, as diff -u
    #[arg(short, long, help_heading = "Output", group = "format", conflicts_with_all = ["only", "all"])]
    pub unified: bool,
    /// Report in JSON
    #[arg(long, help_heading = "Output", group = "format")]
    pub json: bool,
    /// Report in CSV, one line for each fact
    #[arg(long, help_heading = "Output", group = "format")]
    pub csv: bool,
    /// The page that `jumar report` makes of these runs, on standard output
    #[arg(long, help_heading = "Output", group = "format", conflicts_with_all = ["only", "all"])]
    pub html: bool,
}

#[derive(Args, Debug)]
pub(super) struct ReportArguments {
    /// The runs: directories, state files, names or their beginnings; without any the newest
    #[arg(value_name = "RUN")]
    pub runs: Vec<String>,
    /// Write the page to this file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Put several runs into the order of this metric, parameter or duration; with a `-` before it, largest first
    #[arg(long, value_name = "[-]NAME", allow_hyphen_values = true)]
    pub sort: Option<String>,
    /// What the page tells, in JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Args, Debug)]
pub(super) struct LogsArguments {
    /// A run directory, a state file, a run's name or its beginning; without it the newest run
    #[arg(value_name = "RUN")]
    pub run: Option<String>,
    /// The phase, by name; without it the one that ran last
    #[arg(value_name = "PHASE")]
    pub phase: Option<String>,
    /// Go on showing what is added, until the phase has ended
    #[arg(short, long)]
    pub follow: bool,
    /// The attempt, from 1; without it the last
    #[arg(long, value_name = "N")]
    pub attempt: Option<usize>,
    /// Print the names of the log files instead
    #[arg(long)]
    pub files: bool,
}

#[derive(Args, Debug)]
pub(super) struct EditArguments {
    /// A run directory, a state file, a run's name or its beginning; without it the newest run
    #[arg(value_name = "RUN")]
    pub run: Option<String>,
    /// Report in JSON
    #[arg(long, help_heading = "Output")]
    pub json: bool,
}

#[derive(Args, Debug)]
#[command(allow_missing_positional = true)]
pub(super) struct EvalArguments {
    /// A run directory, a state file, a run's name or its beginning; with @N as it was after its N-th event; without it the newest
    #[arg(value_name = "RUN", allow_hyphen_values = true)]
    pub run: Option<String>,
    /// A Rhai expression: state.phases.train, params, metrics.eval_42.accuracy, a function of the script
    #[arg(value_name = "EXPR", allow_hyphen_values = true)]
    pub expression: String,
    /// Print the value as JSON
    #[arg(long, help_heading = "Output")]
    pub json: bool,
}

#[derive(Args, Debug)]
pub(super) struct ExplainArguments {
    /// A run directory, a state file, a run's name or its beginning, with @N as it was after its N-th event;
    /// without it the newest run
    #[arg(value_name = "RUN")]
    pub run: Option<String>,
    /// The phase, by name or number, to be explained in detail
    #[arg(value_name = "PHASE")]
    pub phase: Option<String>,
    /// What if this parameter were set (repeatable)
    #[arg(short, value_name = "KEY=VALUE", value_parser = pair)]
    pub parameter: Vec<(String, String)>,
    /// Report in JSON
    #[arg(long, help_heading = "Output")]
    pub json: bool,
}

#[derive(Args, Debug)]
pub(super) struct MarkArguments {
    /// A run directory, a state file, a run's name or its beginning; without it the newest run
    #[arg(value_name = "RUN")]
    pub run: String,
    /// Phases, by name, or patterns like 'eval_*'
    #[arg(value_name = "PHASE")]
    pub phases: Vec<String>,
    /// How they stand from now on
    #[arg(long = "as", value_name = "STATE")]
    pub status: Option<MarkStatus>,
    /// Report in JSON
    #[arg(long, help_heading = "Output")]
    pub json: bool,
}

/// What a person may say of a phase. That one is running is for the run to say.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum MarkStatus {
    /// It is to run (again)
    Pending,
    /// It is done and does not run again
    Completed,
    /// It is left out; what waits for it goes on
    Skipped,
    /// It went wrong; a resume tries it again
    Failed,
}

#[derive(Args, Debug)]
#[command(allow_missing_positional = true)]
pub(super) struct ShellArguments {
    /// A run directory, a state file, a run's name or its beginning; without it the newest run
    #[arg(value_name = "RUN")]
    pub run: Option<String>,
    /// The phase, by name
    #[arg(value_name = "PHASE")]
    pub phase: String,
    /// The attempt, from 1; without it the last
    #[arg(long, value_name = "N")]
    pub attempt: Option<usize>,
}

#[derive(Args, Debug)]
pub(super) struct ReplArguments {
    /// A run directory, a state file, a run's name or its beginning, with @N as it was after its N-th event;
    /// without it the newest run
    #[arg(value_name = "RUN")]
    pub run: Option<String>,
}

#[derive(Args, Debug)]
pub(super) struct GraphArguments {
    /// The script, or a run whose script is drawn; without it the stock pipeline
    #[arg(value_name = "SCRIPT|RUN")]
    pub script: Option<String>,
    /// Draw for Graphviz
    #[arg(long, group = "format")]
    dot: bool,
    /// Draw an SVG picture; no other program is needed
    #[arg(long, group = "format")]
    svg: bool,
    /// Draw for Mermaid (the default)
    #[arg(long, group = "format")]
    mermaid: bool,
    /// Phases and arrows in JSON
    #[arg(long, group = "format")]
    pub json: bool,
    /// Set a parameter (repeatable)
    #[arg(short, value_name = "KEY=VALUE", help_heading = "Parameters", value_parser = pair)]
    pub parameter: Vec<(String, String)>,
    /// Take parameters from a file: .toml, .yaml, .json or .ini
    #[arg(long, value_name = "FILE", help_heading = "Parameters")]
    pub params: Option<PathBuf>,
}

/// How a plan is drawn.
pub(super) enum GraphFormat {
    Mermaid,
    Dot,
    Svg,
    Json,
}

impl GraphArguments {
    pub(super) fn format(&self) -> GraphFormat {
        match (self.dot, self.svg, self.json, self.mermaid) {
            (true, ..) => GraphFormat::Dot,
            (_, true, ..) => GraphFormat::Svg,
            (_, _, true, _) => GraphFormat::Json,
            _ => GraphFormat::Mermaid,
        }
    }
}

#[derive(Args, Debug)]
pub(super) struct CheckArguments {
    /// The script; without it the stock pipeline. Its parameters may follow, as for `run`
    #[arg(value_name = "SCRIPT")]
    pub script: Option<String>,
    /// Set a parameter (repeatable)
    #[arg(short, value_name = "KEY=VALUE", help_heading = "Parameters", value_parser = pair)]
    pub parameter: Vec<(String, String)>,
    /// Take parameters from a file: .toml, .yaml, .json or .ini
    #[arg(long, value_name = "FILE", help_heading = "Parameters")]
    pub params: Option<PathBuf>,
    /// Report in JSON
    #[arg(long, help_heading = "Output")]
    pub json: bool,
}

#[derive(Args, Debug)]
pub(super) struct RehearseArguments {
    /// The pipeline; without it the stock pipeline. Its parameters may follow, as for `run`
    #[arg(value_name = "SCRIPT")]
    pub script: Option<String>,
    /// Set a parameter (repeatable)
    #[arg(short, value_name = "KEY=VALUE", help_heading = "Parameters", value_parser = pair)]
    pub parameter: Vec<(String, String)>,
    /// Run up to this many rehearsals side by side; without it as many as there are processors
    #[arg(short, long, value_name = "N", value_parser = jobs)]
    pub jobs: Option<u16>,
    /// Rehearse in this directory, and keep it
    #[arg(long, value_name = "DIR")]
    pub keep: Option<PathBuf>,
    /// Report in JSON
    #[arg(long, help_heading = "Output")]
    pub json: bool,
}

#[derive(Args, Debug)]
pub(super) struct NewArguments {
    /// The file to write; one that is there is left alone
    #[arg(value_name = "FILE", default_value = "pipeline.rhai")]
    pub file: PathBuf,
}

#[derive(Args, Debug)]
pub(super) struct DocsArguments {
    /// A function, `recovery::standard`, or a module, `std/recovery`; without it all are listed
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
    /// Report in JSON
    #[arg(long, help_heading = "Output")]
    pub json: bool,
}

#[derive(Args, Debug)]
pub(super) struct DefinitionsArguments {
    /// The directory, which is made when it is not there
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
}

#[derive(Args, Debug)]
pub(super) struct HistoryArguments {
    /// A run directory, a state file, a run's name or its beginning; without it the newest run
    #[arg(value_name = "RUN")]
    pub run: Option<String>,
    /// Only events since then: a time (2026-01-31T14:00, or 14:00 for today), or how long ago (90s, 15m, 3h, 2d)
    #[arg(long, value_name = "WHEN")]
    pub since: Option<String>,
    /// Only events of this phase
    #[arg(long, value_name = "PHASE")]
    pub phase: Option<String>,
    /// Also events that say nothing to people
    #[arg(long)]
    pub all: bool,
    /// Report in JSON
    #[arg(long, help_heading = "Output")]
    pub json: bool,
}

#[derive(Args, Debug)]
pub(super) struct UndoArguments {
    /// A run directory, a state file, a run's name or its beginning; without it the newest run
    #[arg(value_name = "RUN")]
    pub run: Option<String>,
    /// The number of the event to take back; without it the last one that somebody caused by hand
    #[arg(long, value_name = "N")]
    pub event: Option<u64>,
    /// Report in JSON
    #[arg(long, help_heading = "Output")]
    pub json: bool,
}

#[derive(Args, Debug)]
pub(super) struct FsckArguments {
    /// A run directory, a state file, a run's name or its beginning; without it the newest run
    #[arg(value_name = "RUN")]
    pub run: Option<String>,
    /// Mend what can be mended: the state file from the journal, the journal from the state file
    #[arg(long)]
    pub repair: bool,
    /// Report in JSON
    #[arg(long, help_heading = "Output")]
    pub json: bool,
}

#[derive(Args, Debug)]
pub(super) struct UnlockArguments {
    /// A run directory, a state file, a run's name or its beginning; without it the newest run
    #[arg(value_name = "RUN")]
    pub run: Option<String>,
    /// Report in JSON
    #[arg(long, help_heading = "Output")]
    pub json: bool,
}

#[derive(Args, Debug)]
pub(super) struct CompletionsArguments {
    /// The shell
    pub shell: clap_complete::Shell,
}
