//! `--network pasta` and `--publish`: a network namespace that a hook connects to a network.

use std::path::Path;

use oci_spec::runtime::{Hook, LinuxNamespaceType, Spec};

use super::choices::Pasta;
use super::error::{GenerateError, wrong};
use super::mounts::share_file;
use super::namespaces::has;
use super::publish::PublishedPort;
use super::{Files, Request};

/// The file beside config.json that names the container's name server.
const RESOLV_CONF: &str = "resolv.conf";
/// The path at which programs in the container read it.
const RESOLV_CONF_INSIDE: &str = "/etc/resolv.conf";

/// How long the hook may take, in seconds: somewhat more than its own limits, so that its own error is reported.
const HOOK_TIMEOUT: i64 = 60;

/// The hook's search path for pasta, in case the runtime gives the hook no environment.
const HOOK_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A file that belongs next to config.json.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BundleFile {
    /// Its name in the bundle.
    pub name: &'static str,
    /// Its contents.
    pub content: String,
}

/// Returns the files that the bundle needs in addition.
pub(super) fn run(
    spec: &mut Spec,
    request: &Request,
    files: &dyn Files,
) -> Result<Option<BundleFile>, GenerateError> {
    let ports = ports(&request.publish)?;
    let Some(pasta) = &request.pasta else {
        return match request.publish.first() {
            Some(first) => {
                Err(wrong("publish", first, "only a network that --network pasta gives has ports to publish"))
            }
            None => Ok(None),
        };
    };
    set_hooks(spec, pasta, &ports);
    set_sysctls(spec);
    if !share_file(spec, RESOLV_CONF_INSIDE.into(), RESOLV_CONF.into()) {
        return Ok(None);
    }
    Ok(Some(BundleFile { name: RESOLV_CONF, content: resolv_conf(files) }))
}

fn ports(publish: &[String]) -> Result<Vec<PublishedPort>, GenerateError> {
    let ports = publish.iter().map(|text| text.parse().map_err(|e| wrong("publish", text, format!("{e}"))));
    let ports: Vec<PublishedPort> = ports.collect::<Result<_, _>>()?;
    for (index, port) in ports.iter().enumerate() {
        if ports[..index].iter().any(|other| overlaps(other, port)) {
            return Err(wrong(
                "publish",
                &publish[index],
                "this port of the host is published already; keep one of them",
            ));
        }
    }
    Ok(ports)
}

fn overlaps(one: &PublishedPort, other: &PublishedPort) -> bool {
    one.protocol == other.protocol
        && (one.ip.is_none() || other.ip.is_none() || one.ip == other.ip)
        && one.host.start() <= other.host.end()
        && other.host.start() <= one.host.end()
}

/// Sets the hooks before the start and after the end of the container; the hook knows from the state which of them it
/// is.
fn set_hooks(spec: &mut Spec, pasta: &Pasta, ports: &[PublishedPort]) {
    let name = pasta.program.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut args = vec![name, "hook".to_owned(), "pasta".to_owned()];
    args.extend(ports.iter().flat_map(|port| ["--publish".to_owned(), port.to_string()]));
    if !pasta.options.is_empty() {
        args.push("--".to_owned());
        args.extend(pasta.options.iter().cloned());
    }
    let mut hook = Hook::default();
    hook.set_path(pasta.program.clone())
        .set_args(Some(args))
        .set_env(Some(vec![HOOK_PATH.to_owned()]))
        .set_timeout(Some(HOOK_TIMEOUT));
    let mut hooks = spec.hooks().clone().unwrap_or_default();
    hooks.set_create_runtime(Some(vec![hook.clone()])).set_poststop(Some(vec![hook]));
    spec.set_hooks(Some(hooks));
}

/// Sets what Docker sets for a container's own network: no port and no ping needs privilege.
fn set_sysctls(spec: &mut Spec) {
    // The kernel refuses a range with ids that are not mapped.
    let groups = if has(spec, LinuxNamespaceType::User) { "0 0" } else { "0 2147483647" };
    let Some(linux) = spec.linux_mut() else { return };
    let mut sysctls = linux.sysctl().clone().unwrap_or_default();
    for (name, value) in [("net.ipv4.ip_unprivileged_port_start", "0"), ("net.ipv4.ping_group_range", groups)]
    {
        sysctls.entry(name.to_owned()).or_insert_with(|| value.to_owned());
    }
    linux.set_sysctl(Some(sysctls));
}

/// A resolv.conf(5) with the name server that pasta forwards to the host's, and with the host's search list.
fn resolv_conf(files: &dyn Files) -> String {
    let host = files.read(Path::new("/etc/resolv.conf")).unwrap_or_default();
    let host = String::from_utf8_lossy(&host);
    let kept = host.lines().filter(|line| {
        ["search", "domain", "options"]
            .iter()
            .any(|word| line.strip_prefix(word).is_some_and(|rest| rest.starts_with([' ', '\t'])))
    });
    kept.map(str::to_owned)
        .chain([format!("nameserver {NAME_SERVER}")])
        .fold(String::new(), |text, line| text + &line + "\n")
}

/// The name server for programs in the container: an address that both pasta and slirp4netns forward to the host's
/// own name server. It is the default of `slirp4netns(1)`.
pub const NAME_SERVER: std::net::Ipv4Addr = std::net::Ipv4Addr::new(10, 0, 2, 3);
