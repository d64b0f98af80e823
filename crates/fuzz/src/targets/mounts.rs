//! Options of mounts, and the list of mounts from the kernel.

use std::path::{Path, PathBuf};

use oci_spec::runtime::{Mount, Spec};
use rootling_config::container::Container;
use rootling_config::mounts::MountOptions;
use rootling_init::error::chain;
use rootling_rootless::host::{Fixture, Host};

use super::sections;
use crate::check::{Answer, Run};

/// Lines of `DESTINATION TYPE SOURCE OPTION,OPTION...`, each of which stands for an entry of `mounts`.
pub(super) fn options() -> Run {
    Box::new(|input| {
        let text = String::from_utf8_lossy(input);
        let mut refused = None;
        for mount in text.lines().map(mount) {
            let spec = spec_with(&mount);
            stays(&mount)?;
            match Container::parse(spec) {
                Ok(container) => drop(container),
                Err(error) => refused = refused.or(Some(chain(&error))),
            }
        }
        Ok(refused.map_or(Answer::Accepted(Vec::new()), Answer::Refused))
    })
}

/// Checks that what is data for the file system remains so when it is parsed again.
fn stays(mount: &Mount) -> Result<(), String> {
    let options = MountOptions::of(mount);
    let mut again = mount.clone();
    again.set_options(Some(options.data.clone()));
    if MountOptions::of(&again).data == options.data {
        Ok(())
    } else {
        Err("data are read as flags the second time".to_owned())
    }
}

/// A container with only this mount.
fn spec_with(mount: &Mount) -> Spec {
    let mut spec = Spec::default();
    spec.set_mounts(Some(vec![mount.clone()]));
    spec
}

fn mount(line: &str) -> Mount {
    let mut fields = line.splitn(4, ' ');
    let mut field = || fields.next().filter(|field| *field != "-");
    let mut mount = Mount::default();
    mount.set_destination(PathBuf::from(field().unwrap_or_default()));
    mount.set_typ(field().map(str::to_owned));
    mount.set_source(field().map(PathBuf::from));
    mount.set_options(field().map(|options| options.split(',').map(str::to_owned).collect()));
    mount
}

/// The mountinfo of the host and that of the container: proc_pid_mountinfo(5).
pub(super) fn mountinfo() -> Run {
    Box::new(|input| {
        let text = String::from_utf8_lossy(input);
        let files = sections::of(&text);
        let file = |name: &str| {
            files.iter().find(|(found, _)| *found == name).map_or("", |(_, content)| content.as_str())
        };
        let (host, container) = (file("host"), file("container"));
        let external = rootling_runtime::fuzzing::external_mounts(host, container, true);
        if external.iter().any(|point| point == Path::new("/")) {
            return Err("the container's root is a mount of the host".to_owned());
        }
        rootling_runtime::fuzzing::external_mounts(host, container, false);
        rootling_init::fuzzing::to_be_covered(host);
        let nested = Fixture::root_in_user_namespace(1000).file("/proc/self/mountinfo", host);
        let nested = Host::on(nested);
        Ok(Answer::Accepted(match (nested.proc_masked(), nested.sys_masked()) {
            (true, _) => vec!["/proc is covered".to_owned()],
            (_, true) => vec!["/sys is covered".to_owned()],
            _ => Vec::new(),
        }))
    })
}
