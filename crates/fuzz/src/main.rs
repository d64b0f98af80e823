//! `make fuzz`: runs millions of inputs, or repeats one.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use nix::sys::resource::{Resource, setrlimit};
use rootling_fuzz::campaign::{Campaign, LIMIT, Table, tell};
use rootling_fuzz::chunk::{Chunk, Runner, Totals};
use rootling_fuzz::targets::{TARGETS, Target, by_name};

/// Runs mutated documents and files through everything that reads some.
#[derive(Parser)]
struct Args {
    /// How many inputs, of all targets together
    #[arg(long, default_value_t = 10_000_000)]
    inputs: u64,
    /// Where the random numbers begin
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many inputs at a time; by default as many as there are processors
    #[arg(long)]
    jobs: Option<usize>,
    /// Only these targets
    #[arg(long)]
    target: Vec<String>,
    /// Where inputs that failed are written
    #[arg(long, default_value = "target/fuzz")]
    directory: PathBuf,
    /// Show the most frequent answers of each target, so many
    #[arg(long, default_value_t = 0)]
    answers: usize,
    /// One input again, TARGET:SEED:CHUNK:INPUT as a finding has it, or with a file in the place of the last three
    #[arg(long)]
    repeat: Option<String>,
}

/// The memory limit of the process, in bytes: an input that asks for more ends it.
const MEMORY: u64 = 8 << 30;

fn main() -> ExitCode {
    let args = Args::parse();
    let result = match &args.repeat {
        Some(at) => repeat(at, &args),
        None => campaign(&args),
    };
    result.unwrap_or_else(|error| {
        eprintln!("fuzz: {error}");
        ExitCode::from(2)
    })
}

fn campaign(args: &Args) -> Result<ExitCode, String> {
    setrlimit(Resource::RLIMIT_AS, MEMORY, MEMORY).map_err(|e| format!("setrlimit: {e}"))?;
    let targets: Vec<&'static Target> = if args.target.is_empty() {
        TARGETS.iter().collect()
    } else {
        args.target.iter().map(|name| named(name)).collect::<Result<_, _>>()?
    };
    let jobs = args.jobs.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, Into::into));
    let campaign =
        Campaign { targets, inputs: args.inputs, seed: args.seed, jobs, directory: args.directory.clone() };
    let table = campaign.run().map_err(|e| e.to_string())?;
    for (name, totals) in &table {
        let path = args.directory.join(format!("slowest-{name}"));
        std::fs::write(&path, &totals.slowest.2).map_err(|e| format!("{}: {e}", path.display()))?;
    }
    for (name, totals) in table.iter().filter(|_| args.answers > 0) {
        let mut answers: Vec<_> = totals.answers.iter().collect();
        answers.sort_by_key(|(_, times)| std::cmp::Reverse(**times));
        answers.iter().take(args.answers).for_each(|(text, times)| println!("{name}: {times} times: {text}"));
    }
    print(&table).map_err(|e| e.to_string())?;
    let found: usize = table.values().map(|totals| totals.findings.len()).sum();
    println!("\n{found} defects; seed {}", args.seed);
    Ok(if found == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn named(name: &str) -> Result<&'static Target, String> {
    by_name(name).ok_or_else(|| {
        let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
        format!("no target {name:?}; there are {}", names.join(", "))
    })
}

/// Repeats one input, together with the earlier ones from which it was made.
fn repeat(at: &str, args: &Args) -> Result<ExitCode, String> {
    let (target, rest) = at.split_once(':').ok_or("--repeat takes TARGET:SEED:CHUNK:INPUT or TARGET:FILE")?;
    let target = named(target)?;
    let numbers: Option<Vec<u64>> = rest.split(':').map(|number| number.parse().ok()).collect();
    let totals = if let Some(&[seed, number, last]) = numbers.as_deref() {
        std::fs::create_dir_all(&args.directory).map_err(|e| e.to_string())?;
        let path = args.directory.join("repeated");
        let chunk = Chunk { target, seed, number, inputs: last + 1 };
        let mut totals = chunk.run(Some(LIMIT), &mut |n, input| {
            if n == last {
                std::fs::write(&path, input).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            }
        });
        totals.findings.retain(|finding| finding.at == at);
        totals
    } else {
        let input = std::fs::read(rest).map_err(|e| format!("{rest}: {e}"))?;
        let mut runner = Runner::new(target, Some(LIMIT));
        runner.input(&input, || format!("{}:{rest}", target.name));
        runner.totals()
    };
    totals.findings.iter().for_each(|finding| tell(finding, &args.directory));
    println!("{} defects; answers: {:#?}", totals.findings.len(), totals.answers);
    Ok(if totals.findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Prints the table of docs/testing.md.
fn print(table: &Table) -> std::io::Result<()> {
    let mut out = tabwriter::TabWriter::new(std::io::stdout()).padding(2);
    writeln!(
        out,
        "\ntarget\tinputs\taccepted\trefused\tanswers\tdefects\tslowest in ms\tof bytes\twhich is"
    )?;
    for (name, totals) in table {
        row(&mut out, name, totals)?;
    }
    let mut all = Totals::default();
    for totals in table.values() {
        all.inputs += totals.inputs;
        all.accepted += totals.accepted;
        all.refused += totals.refused;
        all.answers.extend(totals.answers.iter().map(|(answer, times)| (answer.clone(), *times)));
        all.slowest = all.slowest.max(totals.slowest.clone());
        all.findings.extend(totals.findings.iter().cloned());
    }
    row(&mut out, "all", &all)?;
    out.flush()
}

fn row(out: &mut impl Write, name: &str, totals: &Totals) -> std::io::Result<()> {
    let Totals { inputs, accepted, refused, answers, slowest: (time, at, input), findings } = totals;
    let (answers, bytes, findings) = (answers.len(), input.len(), findings.len());
    let time = time.as_secs_f64() * 1000.0;
    writeln!(out, "{name}\t{inputs}\t{accepted}\t{refused}\t{answers}\t{findings}\t{time:.1}\t{bytes}\t{at}")
}
