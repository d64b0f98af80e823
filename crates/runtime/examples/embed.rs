//! Makes a container from a bundle, executes another program in it, and removes it: `embed STATE BUNDLE ID PROGRAM [ARGUMENT...]`.

use std::process::ExitCode;

use rootling_runtime::{self as runtime, ContainerId, CreateOptions, ExecOptions, Host, Result, Store};

fn main() -> ExitCode {
    match embed(std::env::args().skip(1).collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("embed: {error}");
            ExitCode::FAILURE
        }
    }
}

fn embed(mut words: Vec<String>) -> Result<()> {
    // First of all, and before there are threads: a container must not be able to write to this program.
    runtime::seal()?;
    if words.len() < 4 {
        return Err(runtime::Error::invalid("usage: embed STATE BUNDLE ID PROGRAM [ARGUMENT...]"));
    }
    let program = words.split_off(3);
    let (host, store) = (Host::probe(), Store::own(&words[0]));
    let id = ContainerId::parse(&words[2])?;
    let mut warn = |text: String| eprintln!("warning: {text}");

    let options = CreateOptions::new(id.clone(), std::fs::canonicalize(&words[1])?);
    runtime::create(&host, &store, &options, &mut warn).map_err(|error| runtime::explain(error, &host))?;
    println!("status: {}", runtime::state(&store, &id)?.status);

    // From here on the container is there: whatever fails, it is removed.
    let used = use_container(&host, &store, &id, program, &mut warn);
    used.and(runtime::delete(&store, &id, true))
}

fn use_container(
    host: &Host,
    store: &Store,
    id: &ContainerId,
    program: Vec<String>,
    warn: &mut dyn FnMut(String),
) -> Result<()> {
    runtime::start(store, id)?;
    let process = runtime::exec(host, store, &ExecOptions::new(id.clone(), program), warn)?;
    println!("exec: exit code {}", process.wait()?);

    runtime::kill(store, id, runtime::parse_signal("KILL")?, false)?;
    // This process has made the container: its end is told here.
    let code = runtime::wait(store, id)?.unwrap_or_default();
    println!("container: exit code {code}, {}", runtime::state(store, id)?.status);
    Ok(())
}
