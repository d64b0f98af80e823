//! `hook`: the container is read from standard input, on which a runtime passes it to its hooks.

use std::ffi::OsString;
use std::io;

use rootling_network::container::Container;
use rootling_network::{Network, hook};
use rootling_rootless::host::Host;
use rootling_runtime::{Error, Result};

use crate::args::{Hook, HookKind};

pub(crate) fn hook(host: &Host, args: &Hook) -> Result<()> {
    let container = Container::read(io::stdin().lock());
    match args.kind {
        HookKind::Pasta => {
            let done = container.and_then(|container| hook::run(&container, &supervisor(args)));
            done.map_err(|error| Error::system(error.to_string()))
        }
        HookKind::Supervise => {
            let network = Network { publish: args.publish.clone(), options: args.options.clone() };
            hook::supervise(container, &network, &host.network_programs());
            Ok(())
        }
    }
}

/// The command line of the supervisor.
fn supervisor(args: &Hook) -> Vec<OsString> {
    let mut words: Vec<OsString> = ["hook", "supervise"].map(OsString::from).into();
    words.extend(args.publish.iter().flat_map(|port| ["--publish".into(), port.to_string().into()]));
    if !args.options.is_empty() {
        words.push("--".into());
        words.extend(args.options.iter().map(OsString::from));
    }
    words
}
