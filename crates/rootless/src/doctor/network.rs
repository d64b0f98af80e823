//! Networks: what programs may do in the host's network, and which programs give containers a network of their own.

use rootling_config::remedies;

use super::{Check, Distribution};
use crate::host::{Host, NetworkProgram};

/// The programs that `--network pasta` of `rootling spec` can use.
pub(super) fn programs(host: &Host, distribution: &Distribution) -> Check {
    let programs = host.network_programs();
    let best = programs.best();
    let version = programs.pasta.as_ref().and_then(|pasta| pasta.version);
    let found = match &best {
        Some(NetworkProgram::Pasta(path)) => {
            let version =
                version.map_or_else(|| "without a version".to_owned(), |version| format!("of {version}"));
            format!("pasta {version}, {}", path.display())
        }
        Some(NetworkProgram::Slirp4netns(path)) => {
            format!("slirp4netns, {}{}", path.display(), programs.too_old())
        }
        None => format!("neither pasta nor slirp4netns{}", programs.too_old()),
    };
    let check = |found: String| {
        Check::ok(
            "network programs",
            found,
            "pasta of 2024_08_21 or newer, or slirp4netns, and /dev/net/tun",
            "`rootling spec --network pasta` gives a container a network of its own with one of them",
        )
    };
    match best {
        None => check(found).warning(distribution.family.install_network_program()),
        Some(_) if !programs.tun => {
            check(format!("{found}; the caller may not open /dev/net/tun")).warning(remedies::OPEN_TUN)
        }
        Some(_) => check(found),
    }
}
