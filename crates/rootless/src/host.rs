//! Facts about the host and the caller, which are looked up on first use and then kept.
//!
//! Most containers need two or three of these facts, so nothing is read in advance. Every access to the machine
//! goes through one [`Machine`], which tests replace with a [`Fixture`].

mod accounts;
mod apparmor;
mod cgroup;
mod covers;
mod fixture;
mod getsubids;
mod helpers;
mod limit_support;
mod machine;
mod maps;
mod modules;
mod network;
mod process_limit;
mod restrictions;
mod spec_facts;
mod subid;

use std::cell::OnceCell;
use std::io;
use std::path::{Path, PathBuf};

use oci_spec::runtime::{LinuxIdMapping, LinuxNamespaceType};
use rootling_config::idmap::{IdKind, to_host};
use rootling_sys::mount::ST_RDONLY;

pub use accounts::Account;
pub(crate) use apparmor::install_profile;
pub use apparmor::{APPARMOR_FILE, apparmor_profile};
pub use cgroup::{CgroupMode, Delegation};
pub use fixture::Fixture;
pub use helpers::{Fault, IdHelper};
pub use machine::{Access, FsFacts, Machine, NodeFacts, NodeKind, System};
pub use maps::{map_of, own_map};
pub use network::{NetworkProgram, NetworkPrograms, OLDEST_PASTA, Pasta, PastaVersion};
pub use restrictions::Restriction;
pub use subid::{SubIdRange, SubIds};

/// The facts. This is cheap to make; each fact costs its system calls once, when it is first needed.
pub struct Host {
    machine: Box<dyn Machine>,
    euid: OnceCell<u32>,
    egid: OnceCell<u32>,
    capabilities: OnceCell<u64>,
    kernel: OnceCell<(u32, u32)>,
    uid_map: OnceCell<Vec<LinuxIdMapping>>,
    gid_map: OnceCell<Vec<LinuxIdMapping>>,
    account: OnceCell<Account>,
    newuidmap: OnceCell<IdHelper>,
    newgidmap: OnceCell<IdHelper>,
    cgroup_mode: OnceCell<CgroupMode>,
    own_delegation: OnceCell<Option<Delegation>>,
    systemd_delegation: OnceCell<Option<Delegation>>,
    proc_masked: OnceCell<bool>,
    sys_masked: OnceCell<bool>,
}

impl Host {
    /// The machine that this runs on. Reads nothing yet.
    pub fn probe() -> Self {
        Self::on(System)
    }

    /// Facts from another source, such as a [`Fixture`].
    pub fn on(machine: impl Machine + 'static) -> Self {
        Self {
            machine: Box::new(machine),
            euid: OnceCell::new(),
            egid: OnceCell::new(),
            capabilities: OnceCell::new(),
            kernel: OnceCell::new(),
            uid_map: OnceCell::new(),
            gid_map: OnceCell::new(),
            account: OnceCell::new(),
            newuidmap: OnceCell::new(),
            newgidmap: OnceCell::new(),
            cgroup_mode: OnceCell::new(),
            own_delegation: OnceCell::new(),
            systemd_delegation: OnceCell::new(),
            proc_masked: OnceCell::new(),
            sys_masked: OnceCell::new(),
        }
    }

    /// Effective user id, as the caller's user namespace numbers it.
    pub fn euid(&self) -> u32 {
        *self.euid.get_or_init(|| self.machine.euid())
    }

    /// Effective group id, as the caller's user namespace numbers it.
    pub fn egid(&self) -> u32 {
        *self.egid.get_or_init(|| self.machine.egid())
    }

    /// Whether the caller is anyone but root, in whatever user namespace it is.
    pub fn is_ordinary_user(&self) -> bool {
        self.euid() != 0
    }

    /// Whether the caller is root by number, but without `CAP_SYS_ADMIN`, as in most containers.
    pub fn is_restricted_root(&self) -> bool {
        const CAP_SYS_ADMIN: u8 = 21;
        !self.is_ordinary_user() && !self.has_capability(CAP_SYS_ADMIN)
    }

    /// Whether the caller has the privileges that a container needs only in a new user namespace.
    pub fn needs_user_namespace(&self) -> bool {
        self.is_ordinary_user() || self.is_restricted_root()
    }

    /// Whether the effective capability `bit` (capabilities(7); `CAP_SETUID` is 7) is held in the caller's own user
    /// namespace.
    pub fn has_capability(&self, bit: u8) -> bool {
        self.capabilities.get_or_init(|| self.machine.capabilities().unwrap_or(0)) & (1 << bit) != 0
    }

    /// Whether the kernel is at least this version. An unreadable version counts as old.
    pub fn kernel_at_least(&self, major: u32, minor: u32) -> bool {
        self.kernel() >= (major, minor)
    }

    fn kernel(&self) -> (u32, u32) {
        *self.kernel.get_or_init(|| parse_release(&self.machine.kernel_release()))
    }

    /// The caller's own user id map: container ids are those inside its user namespace. It is empty if the kernel
    /// has no user namespaces or if /proc is absent. `user_namespaces`(7).
    pub fn uid_map(&self) -> &[LinuxIdMapping] {
        self.uid_map.get_or_init(|| self.own_map("/proc/self/uid_map"))
    }

    /// The caller's own group id map, like [`Host::uid_map`].
    pub fn gid_map(&self) -> &[LinuxIdMapping] {
        self.gid_map.get_or_init(|| self.own_map("/proc/self/gid_map"))
    }

    fn own_map(&self, path: &str) -> Vec<LinuxIdMapping> {
        self.machine.read(Path::new(path)).map(|text| maps::parse(&text)).unwrap_or_default()
    }

    /// Whether the caller is in a user namespace other than the initial one. A namespace that maps
    /// every id to itself looks like the initial one, and behaves like it in all that matters here.
    pub fn in_user_namespace(&self) -> bool {
        let map = self.uid_map();
        !map.is_empty() && !maps::is_identity_of_all(map)
    }

    /// The id one level out that `id` stands for, or `id` itself when that is not known.
    pub fn outer_uid(&self, id: u32) -> u32 {
        to_host(self.uid_map(), id).unwrap_or(id)
    }

    /// Whether setgroups(2) is allowed in the caller's user namespace. `user_namespaces`(7).
    pub fn setgroups_allowed(&self) -> bool {
        self.machine.read(Path::new("/proc/self/setgroups")).map_or(true, |text| text.trim() != "deny")
    }

    /// The caller's entry in /etc/passwd; the name is absent if there is none (for a user of a directory service).
    /// libc's name services are not used, since that would load shared objects.
    pub fn account(&self) -> &Account {
        self.account.get_or_init(|| self.user_by_id(self.euid()))
    }

    /// The user with this id; it has a name if it is in /etc/passwd.
    pub fn user_by_id(&self, id: u32) -> Account {
        accounts::by_id(&self.text("/etc/passwd"), id)
    }

    /// The user with this name in /etc/passwd.
    pub fn user_by_name(&self, name: &str) -> Option<Account> {
        accounts::by_name(&self.text("/etc/passwd"), name)
    }

    /// The group with this name in /etc/group.
    pub fn group_by_name(&self, name: &str) -> Option<Account> {
        accounts::by_name(&self.text("/etc/group"), name)
    }

    fn text(&self, path: &str) -> String {
        self.machine.read(Path::new(path)).unwrap_or_default()
    }

    /// The subordinate ids that /etc/subuid or /etc/subgid grants to `owner`. Not cached. subuid(5), subgid(5).
    pub fn sub_ids(&self, kind: IdKind, owner: &Account) -> SubIds {
        subid::parse(kind.subid_file(), &self.text(kind.subid_file()), owner)
    }

    /// A range that could be granted to the caller: the next free one or, in a user namespace, the ids that it has
    /// besides the caller's own, if any.
    pub fn range_to_add(&self, kind: IdKind, given: &SubIds) -> Option<SubIdRange> {
        let wanted = SubIdRange { start: given.next_free, count: 65536 };
        let (own, map) = match kind {
            IdKind::User => (self.euid(), self.uid_map()),
            IdKind::Group => (self.egid(), self.gid_map()),
        };
        if self.in_user_namespace() { maps::room(map, own, wanted) } else { Some(wanted) }
    }

    /// The subordinate ids that a directory service grants to `owner`, as reported by `getsubids`(1). Empty unless
    /// /etc/nsswitch.conf names a source other than files and the program exists.
    pub fn directory_sub_ids(&self, kind: IdKind, owner: &Account) -> Vec<SubIdRange> {
        if !self.has_subid_directory() {
            return Vec::new();
        }
        let Some(program) = self.find_program("getsubids") else { return Vec::new() };
        let id = owner.id.to_string();
        let name = owner.name.as_deref().unwrap_or(&id);
        let args: &[&str] = match kind {
            IdKind::User => &[name],
            IdKind::Group => &["-g", name],
        };
        self.machine.run(&program, args).map(|out| subid::parse_getsubids(&out)).unwrap_or_default()
    }

    /// Whether subordinate ids come from a directory service. nsswitch.conf(5), entry `subid`.
    pub fn has_subid_directory(&self) -> bool {
        subid::has_directory(&self.text("/etc/nsswitch.conf"))
    }

    /// newuidmap or newgidmap: its path, and whether it can be used.
    pub fn id_helper(&self, kind: IdKind) -> &IdHelper {
        let cell = match kind {
            IdKind::User => &self.newuidmap,
            IdKind::Group => &self.newgidmap,
        };
        cell.get_or_init(|| helpers::find(self, kind))
    }

    /// The first file called `name` on the search path, then in the usual system directories.
    pub fn find_program(&self, name: &str) -> Option<PathBuf> {
        let usual = ["/usr/bin", "/bin", "/usr/sbin", "/sbin", "/usr/local/bin"].map(PathBuf::from);
        let mut dirs = self.machine.search_path();
        // A relative entry would find a program in the caller's current directory.
        dirs.retain(|dir| dir.is_absolute());
        dirs.into_iter().chain(usual).map(|dir| dir.join(name)).find(|path| {
            self.machine.stat(path).is_ok_and(|node| node.kind == NodeKind::File && node.mode & 0o111 != 0)
        })
    }

    /// The programs that give a container a network. Not cached: it costs a few file accesses and a run of pasta.
    pub fn network_programs(&self) -> NetworkPrograms {
        NetworkPrograms::find(self)
    }

    /// How cgroups are set up. Costs one statfs(2), or two on a v1 or hybrid host.
    pub fn cgroup_mode(&self) -> CgroupMode {
        *self.cgroup_mode.get_or_init(|| cgroup::mode(&*self.machine))
    }

    /// Whether cgroups of version 2 are mounted read-only, as in most containers. Not cached.
    pub fn cgroups_read_only(&self) -> bool {
        let read_only = |fs: FsFacts| fs.flags & ST_RDONLY != 0;
        self.cgroup_mode() == CgroupMode::V2 && self.filesystem(Path::new(cgroup::ROOT)).is_ok_and(read_only)
    }

    /// The cgroup subtree that contains the caller's own cgroup and that the caller may write to.
    pub fn own_delegation(&self) -> Option<&Delegation> {
        self.own_delegation
            .get_or_init(|| cgroup::own_delegation(&*self.machine, self.cgroup_mode()))
            .as_ref()
    }

    /// The cgroup subtree in which the caller may make the cgroup `path`, which is relative to the mount, like an
    /// absolute `linux.cgroupsPath`.
    pub fn delegation_at(&self, path: &Path) -> Option<Delegation> {
        cgroup::delegation_at(&*self.machine, self.cgroup_mode(), path)
    }

    /// The cgroup subtree of the caller's systemd user manager, where scopes can be started.
    pub fn systemd_delegation(&self) -> Option<&Delegation> {
        self.systemd_delegation
            .get_or_init(|| match self.cgroup_mode() {
                CgroupMode::V2 => cgroup::systemd_delegation(&*self.machine, self.outer_uid(self.euid())),
                _ => None,
            })
            .as_ref()
    }

    /// The caller's own `oom_score_adj`, -1000 to 1000. `proc_pid_oom_score_adj`(5). Not cached.
    pub fn oom_score_adj(&self) -> io::Result<i32> {
        let text = self.machine.read(Path::new("/proc/self/oom_score_adj"))?;
        text.trim().parse().map_err(|_| io::Error::from(io::ErrorKind::InvalidData))
    }

    /// Whether parts of /proc are covered by mounts, as they are inside a container. The kernel then refuses a new
    /// procfs in a user namespace, since that would uncover them. This checks the places that runtimes cover; for
    /// root of a user namespace, who may have covered others, it checks all mounts.
    pub fn proc_masked(&self) -> bool {
        *self.proc_masked.get_or_init(|| {
            let places = ["/proc/sys", "/proc/kcore", "/proc/sysrq-trigger"];
            // Parsing mountinfo would make every start by an ordinary user far more expensive than these checks.
            places.iter().any(|path| self.is_mount_point(Path::new(path)))
                || self.is_nested_root() && covers::any_below(&self.text("/proc/self/mountinfo"), "/proc")
        })
    }

    /// Does the same for /sys, where runtimes cover /sys/firmware.
    pub fn sys_masked(&self) -> bool {
        *self.sys_masked.get_or_init(|| {
            self.is_mount_point(Path::new("/sys/firmware"))
                || self.is_nested_root() && covers::any_below(&self.text("/proc/self/mountinfo"), "/sys")
        })
    }

    /// The order matters: for ordinary users, who are most callers, the id map is not read.
    fn is_nested_root(&self) -> bool {
        !self.is_ordinary_user() && self.in_user_namespace()
    }

    fn is_mount_point(&self, path: &Path) -> bool {
        self.machine.is_mount_point(path).unwrap_or(false)
    }

    /// Whether `path` is the caller's own namespace of type `typ`. A path that cannot be examined is taken for
    /// another namespace. Not cached.
    pub fn is_own_namespace(&self, typ: LinuxNamespaceType, path: &Path) -> bool {
        // The display form of the type is the name of its file; namespaces(7).
        let own = PathBuf::from(format!("/proc/self/ns/{typ}"));
        match (self.machine.stat(&own), self.machine.stat(path)) {
            (Ok(own), Ok(other)) => own.same_file(&other),
            _ => false,
        }
    }

    /// The file at `path`, following symbolic links. Not cached.
    pub fn node(&self, path: &Path) -> io::Result<NodeFacts> {
        self.machine.stat(path)
    }

    /// The file system and mount that `path` is on. Not cached.
    pub fn filesystem(&self, path: &Path) -> io::Result<FsFacts> {
        self.machine.statfs(path)
    }

    /// Whether the caller's effective ids permit opening `path` in this way. Not cached.
    pub fn may(&self, path: &Path, access: Access) -> bool {
        self.machine.may(path, access)
    }

    /// What may keep the caller from making a user namespace, with certain reasons first. Not cached.
    pub fn user_namespace_restrictions(&self) -> Vec<Restriction> {
        restrictions::find(self)
    }

    /// Which limit on processes the caller has reached, and what to do about it; fork(2), EAGAIN. Not cached.
    pub fn process_limit(&self) -> String {
        process_limit::reached(self)
    }

    /// Whether the network namespace at `network`, or else the caller's own, belongs to the user namespace at
    /// `user`, or else the caller's own. Root of the owning namespace may mount a sysfs there. A namespace whose
    /// owner cannot be determined is taken for somebody else's. `ioctl_ns`(2). Not cached.
    pub fn network_belongs_to(&self, network: Option<&Path>, user: Option<&Path>) -> bool {
        let network = network.unwrap_or(Path::new("/proc/self/ns/net"));
        let user = user.unwrap_or(Path::new("/proc/self/ns/user"));
        match (self.machine.namespace_owner(network), self.machine.stat(user)) {
            (Ok((dev, ino)), Ok(user)) => (user.dev, user.ino) == (dev, ino),
            _ => false,
        }
    }

    /// The first directory above `path`, from `/` down, that the caller may not search.
    pub fn closed_parent(&self, path: &Path) -> Option<PathBuf> {
        let mut above: Vec<&Path> = path.ancestors().skip(1).collect();
        above.reverse();
        above.into_iter().find(|dir| self.node(dir).is_ok() && !self.may(dir, Access::Search)).map(Into::into)
    }

    /// The number of keys that the caller has, and the maximum. `/proc/key-users`, keyrings(7).
    pub fn key_quota(&self) -> Option<(u64, u64)> {
        let text = self.machine.read(Path::new("/proc/key-users")).ok()?;
        let own = format!("{}:", self.euid());
        let Some(line) = text.lines().find_map(|line| line.trim_start().strip_prefix(&own)) else {
            // A user without keys is not listed.
            return Some((0, u64::try_from(self.number("/proc/sys/kernel/keys/maxkeys")?).ok()?));
        };
        let (used, most) = line.split_whitespace().nth(2)?.split_once('/')?;
        Some((used.parse().ok()?, most.parse().ok()?))
    }

    /// The groups that may send ICMP echo requests without privilege, `net.ipv4.ping_group_range`; icmp(7).
    pub fn ping_group_range(&self) -> Option<(u32, u32)> {
        let text = self.machine.read(Path::new("/proc/sys/net/ipv4/ping_group_range")).ok()?;
        let mut numbers = text.split_whitespace().map(str::parse);
        Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
    }

    /// The lowest port that needs no privilege, `net.ipv4.ip_unprivileged_port_start`; ip(7), Linux 4.11.
    pub fn first_free_port(&self) -> Option<u32> {
        u32::try_from(self.number("/proc/sys/net/ipv4/ip_unprivileged_port_start")?).ok()
    }

    /// The kinds of namespaces whose limit is 0, by the names of the limits: namespaces(7).
    pub fn forbidden_namespaces(&self) -> Vec<String> {
        ["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"]
            .into_iter()
            .map(|kind| format!("max_{kind}_namespaces"))
            .filter(|name| self.number(&format!("/proc/sys/user/{name}")) == Some(0))
            .map(|name| format!("user.{name}"))
            .collect()
    }

    /// The kernel's release, as uname(2) gives it.
    pub fn kernel_release(&self) -> String {
        self.machine.kernel_release()
    }

    /// The value of an environment variable of the caller, if it is set and not empty.
    pub fn variable(&self, name: &str) -> Option<PathBuf> {
        self.machine.variable(name).filter(|value| !value.is_empty()).map(PathBuf::from)
    }

    /// The contents of a small text file of the host; `None` if it cannot be read.
    pub fn text_of(&self, path: &Path) -> Option<String> {
        self.machine.read(path).ok()
    }

    /// The value in a file that holds one number, such as a sysctl.
    pub(crate) fn number(&self, path: &str) -> Option<i64> {
        self.machine.read(Path::new(path)).ok()?.trim().parse().ok()
    }

    /// A line of `/proc/self/status`; `proc_pid_status`(5).
    fn status_field(&self, name: &str) -> Option<String> {
        let text = self.machine.read(Path::new("/proc/self/status")).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        Some(line.trim().to_owned())
    }

    pub(crate) fn machine(&self) -> &dyn Machine {
        &*self.machine
    }
}

/// Parses the major and minor version: `6.1.0-18-amd64` is (6, 1).
fn parse_release(release: &str) -> (u32, u32) {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|n| n.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_release_gives_major_and_minor() {
        for (release, wanted) in
            [("6.1.0-18-amd64", (6, 1)), ("5.12-rc3", (5, 12)), ("4.18.0", (4, 18)), ("", (0, 0))]
        {
            assert_eq!(parse_release(release), wanted, "{release}");
        }
    }

    #[test]
    fn user_namespace_is_told_by_the_map() {
        for (map, wanted) in [
            ("         0          0 4294967295\n", false),
            ("0 1000 1\n", true),
            ("0 0 65536\n", true),
            ("0 1000 1\n1 100000 65536\n", true),
            ("", false),
        ] {
            let host = Host::on(Fixture::ordinary(0).file("/proc/self/uid_map", map));
            assert_eq!(host.in_user_namespace(), wanted, "{map}");
        }
    }

    #[test]
    fn a_fact_is_looked_up_once() {
        let machine = Fixture::ordinary(1000);
        let looks = machine.looks();
        let host = Host::on(machine);
        assert!(looks.borrow().is_empty(), "making a host looks at nothing");
        assert_eq!(host.euid(), 1000);
        assert_eq!(host.euid(), 1000);
        let _ = host.proc_masked();
        let _ = host.proc_masked();
        assert_eq!(looks.borrow().iter().filter(|l| *l == "euid").count(), 1);
        assert_eq!(looks.borrow().iter().filter(|l| *l == "mount point /proc/sys").count(), 1);
    }

    #[test]
    fn keys_are_those_of_the_caller() {
        let text = "    0:   105 104/104 98/1000000 1778/25000000\n 1000:     7 7/7 5/200 90/20000\n";
        let of = |id| Host::on(Fixture::ordinary(id).file("/proc/key-users", text)).key_quota();
        assert_eq!((of(1000), of(0), of(10)), (Some((5, 200)), Some((98, 1_000_000)), None));
        let none = Fixture::ordinary(10)
            .file("/proc/key-users", text)
            .file("/proc/sys/kernel/keys/maxkeys", "200\n");
        assert_eq!(Host::on(none).key_quota(), Some((0, 200)));
    }

    #[test]
    fn the_first_closed_directory_is_named() {
        let machine = ["/", "/home", "/home/bob", "/home/bob/rootfs"]
            .iter()
            .fold(Fixture::ordinary(1000), |machine, dir| machine.directory(dir));
        let path = Path::new("/home/bob/rootfs/dev");
        assert_eq!(Host::on(machine.clone()).closed_parent(path), None);
        let closed = Host::on(machine.closed("/home/bob").closed("/home/bob/rootfs")).closed_parent(path);
        assert_eq!(closed.as_deref(), Some(Path::new("/home/bob")));
    }

    #[test]
    fn a_network_belongs_to_the_user_namespace_that_owns_it() {
        let machine = Fixture::ordinary(0)
            .namespace("/proc/self/ns/user", 1)
            .namespace("/run/user", 2)
            .owned("/proc/self/ns/net", "/proc/self/ns/user")
            .owned("/run/net", "/run/user");
        let host = Host::on(machine);
        for (network, user, wanted) in [
            (None, None, true),
            (None, Some("/run/user"), false),
            (Some("/run/net"), Some("/run/user"), true),
            (Some("/run/net"), None, false),
            (Some("/gone"), None, false),
        ] {
            let found = host.network_belongs_to(network.map(Path::new), user.map(Path::new));
            assert_eq!(found, wanted, "{network:?} {user:?}");
        }
    }

    #[test]
    fn programs_are_not_taken_from_a_relative_search_path() {
        let host = Host::on(Fixture::ordinary(1000).path(".").program("./newuidmap", 0o4755));
        assert_eq!(host.find_program("newuidmap"), None);
    }

    #[test]
    fn the_real_machine_can_be_asked() {
        let host = Host::probe();
        assert_eq!(host.euid(), nix::unistd::geteuid().as_raw());
        assert!(host.kernel_at_least(4, 0));
        assert!(!host.uid_map().is_empty());
        assert!((-1000..=1000).contains(&host.oom_score_adj().unwrap()));
        assert!(host.is_own_namespace(LinuxNamespaceType::Pid, Path::new("/proc/self/ns/pid")));
        assert!(!host.is_own_namespace(LinuxNamespaceType::Pid, Path::new("/proc/self/ns/net")));
        assert!(!host.network_belongs_to(None, Some(Path::new("/proc/self/ns/pid"))));
        assert_eq!(host.closed_parent(Path::new("/proc/self/status")), None);
        assert_eq!(host.node(Path::new("/dev/null")).unwrap().kind, NodeKind::Char);
    }
}
