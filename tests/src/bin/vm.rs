//! Runs tests in the virtual machine: see `docs/testing.md`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use rootling_tests::bounded;
use rootling_tests::vm::{Engines, Suite, run_engines, run_matrix, run_tests};

/// Runs tests in a virtual machine with cgroup v2 and systemd.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs the integration tests.
    Tests {
        /// The runs, all where none is named: user-systemd, user-delegated, root, root-systemd.
        runs: Vec<String>,
    },
    /// Runs the integration tests in a machine of each architecture and kernel.
    Matrix {
        /// The machines, such as amd64-bookworm; all where none is named.
        machines: Vec<String>,
    },
    /// Runs the scenarios of container engines.
    Engines {
        /// The runs, such as podman; those of ROOTLING_ENGINES_RUNS, or all, where none is named.
        runs: Vec<String>,
        /// Runs each with crun too, and says where the two differ.
        #[arg(long)]
        compare: bool,
    },
    /// Runs test programs here: what `tests` calls in the machine.
    Suite(SuiteArguments),
}

#[derive(Args)]
struct SuiteArguments {
    /// Has rootling, hack, docs/cli, docs/embedding.md, the tests in tests/ and their probe.
    dir: PathBuf,
    /// Gets the logs.
    results: PathBuf,
    /// The programs to run: patterns, such as 'exec* run'.
    #[arg(long, default_value = "*")]
    only: String,
    /// Leaves out tests with this in their name.
    #[arg(long)]
    without: Option<String>,
    /// For all of it; what does not fit is reported as cut, and is a failure.
    #[arg(long, default_value_t = 3600)]
    seconds: u64,
    /// Moves into a cgroup below its own first, for one that is delegated.
    #[arg(long)]
    leaf: bool,
}

fn main() -> ExitCode {
    bounded::main("vm", || execute(Arguments::parse().command))
}

fn execute(command: Command) -> Result<bool, String> {
    match command {
        Command::Tests { runs } => run_tests(&runs),
        Command::Matrix { machines } => run_matrix(&machines),
        Command::Engines { runs, compare } => run_engines(&Engines { runs, compare }),
        Command::Suite(arguments) => {
            if arguments.leaf {
                Suite::into_a_leaf()?;
            }
            let suite = Suite {
                dir: arguments.dir,
                results: arguments.results,
                only: arguments.only.split_whitespace().map(Into::into).collect(),
                without: arguments.without,
                time: Duration::from_secs(arguments.seconds),
            };
            suite.run()
        }
    }
}
