//! Compiles a profile to a program with libseccomp.

use std::collections::HashSet;
use std::fs::File;
use std::io::{Read, Seek};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use libseccomp::{ScmpAction, ScmpArgCompare, ScmpCompareOp, ScmpFilterContext, ScmpSyscall};
use nix::sys::memfd::{MemFdCreateFlag, memfd_create};
use oci_spec::runtime::{
    Arch, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompFilterFlag, LinuxSeccompOperator,
    LinuxSyscall,
};

use super::key::kernel_release;
use super::profile::{self, SeccompError, rules, scmp_arch};
use super::size::least_instructions;
use super::{bpf, enosys};

/// `SECCOMP_FILTER_FLAG_LOG` (linux/seccomp.h).
const FLAG_LOG: u32 = 1 << 1;
/// `SECCOMP_FILTER_FLAG_SPEC_ALLOW` (linux/seccomp.h).
const FLAG_SPEC_ALLOW: u32 = 1 << 2;
/// `SECCOMP_FILTER_FLAG_NEW_LISTENER` (linux/seccomp.h).
const FLAG_NEW_LISTENER: u32 = 1 << 3;
/// `SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV` (linux/seccomp.h).
const FLAG_WAIT_KILLABLE_RECV: u32 = 1 << 5;

/// From this many rules on, libseccomp sorts them into a binary tree instead of a list. Fewer gain nothing, and
/// libseccomp up to 2.5.4 fails with no rule at all.
const TREE_FROM: usize = 33;

/// What `SCMP_ACT_ERRNO` and `SCMP_ACT_TRACE` return if the profile gives no number.
const EPERM: u32 = 1;

/// A compiled profile, ready for seccomp(2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// `struct sock_filter[]` in the machine's byte order.
    pub bpf: Vec<u8>,
    /// `SECCOMP_FILTER_FLAG_*`, with `NEW_LISTENER` when `notify` is set.
    pub flags: u32,
    /// Loading the program returns a descriptor for the agent that listens at `listenerPath`.
    pub notify: bool,
}

impl Program {
    /// The number of instructions, `len` of `struct sock_fprog`.
    pub fn len(&self) -> usize {
        self.bpf.len() / bpf::SIZE
    }

    /// Whether there is no instruction; the kernel would refuse that.
    pub fn is_empty(&self) -> bool {
        self.bpf.is_empty()
    }
}

/// Compiles a profile. `None` means that there is nothing to load, see [`super::is_off`].
///
/// System calls that libseccomp has no name for are skipped, as in runc.
///
/// # Errors
/// [`SeccompError`]: the profile contradicts itself, or libseccomp or the kernel does not support what it asks for.
pub fn compile(profile: &LinuxSeccomp) -> Result<Option<Program>, SeccompError> {
    profile::check(profile)?;
    if profile::is_off(profile) {
        return Ok(None);
    }
    let notify = profile::notifies(profile);
    let flags = flags(profile, notify)?;
    Ok(Some(Program { bpf: within_time(profile)?, flags, notify }))
}

/// How long libseccomp may take. A profile with as many rules as the kernel accepts needs a few seconds.
const LIMIT: Duration = Duration::from_secs(20);

/// Compiles the profile with a time limit: two rules are enough for libseccomp 2.5.4 never to return. Its thread then
/// ends with the process, which has nothing left to do but report the failure.
fn within_time(profile: &LinuxSeccomp) -> Result<Vec<u8>, SeccompError> {
    let (sender, receiver) = mpsc::sync_channel(1);
    let own = profile.clone();
    let thread = thread::Builder::new().spawn(move || drop(sender.send(build(&own))));
    let Ok(thread) = thread else {
        // The caller may not be allowed to start more threads; that is no reason to go without the profile.
        return build(profile);
    };
    match receiver.recv_timeout(LIMIT) {
        Ok(built) => {
            // From here on there is only one thread again.
            let _ = thread.join();
            built
        }
        Err(_) => Err(SeccompError::TooSlow(LIMIT.as_secs())),
    }
}

fn build(profile: &LinuxSeccomp) -> Result<Vec<u8>, SeccompError> {
    let least = least_instructions(profile, bpf::MAX);
    if least > bpf::MAX {
        return Err(SeccompError::TooManyRules(least));
    }
    let default = action(profile.default_action(), profile.default_errno_ret());
    let mut filter = ScmpFilterContext::new(default).map_err(library("new filter"))?;
    for arch in profile.architectures().iter().flatten() {
        add_arch(&mut filter, *arch)?;
    }
    if rules(profile).iter().map(|rule| rule.names().len()).sum::<usize>() >= TREE_FROM
        && let Err(error) = filter.set_ctl_optimize(2)
    {
        tracing::debug!("seccomp: no binary tree: {error}");
    }
    let mut given = Given::new();
    for rule in rules(profile) {
        for name in rule.names() {
            add_rule(&mut filter, &mut given, rule, name, default)?;
        }
    }
    let mut bpf = enosys::stub(profile)?;
    export(&filter, &mut bpf)?;
    if bpf.len() / bpf::SIZE > bpf::MAX {
        return Err(SeccompError::TooLong(bpf.len() / bpf::SIZE));
    }
    Ok(bpf)
}

fn library<E: std::fmt::Display>(action: &'static str) -> impl FnOnce(E) -> SeccompError {
    move |error| SeccompError::Library { action, reason: error.to_string() }
}

fn flags(profile: &LinuxSeccomp, notify: bool) -> Result<u32, SeccompError> {
    let mut flags = if notify { FLAG_NEW_LISTENER } else { 0 };
    // runc's default: without the flag the kernel enables the mitigation of speculative store bypass for every
    // filtered process, which costs more than it protects. An empty list asks for just that.
    let Some(wanted) = profile.flags() else { return Ok(flags | FLAG_SPEC_ALLOW) };
    for flag in wanted {
        flags |= match flag {
            LinuxSeccompFilterFlag::SeccompFilterFlagLog => FLAG_LOG,
            LinuxSeccompFilterFlag::SeccompFilterFlagSpecAllow => FLAG_SPEC_ALLOW,
            // The only thread loads the filter.
            LinuxSeccompFilterFlag::SeccompFilterFlagTsync => 0,
            // Without a listener it would have no effect, and the kernel answers EINVAL.
            LinuxSeccompFilterFlag::SeccompFilterFlagWaitKillableRecv if !notify => 0,
            LinuxSeccompFilterFlag::SeccompFilterFlagWaitKillableRecv => {
                since(*flag, (5, 19), "5.19")?;
                FLAG_WAIT_KILLABLE_RECV
            }
        };
    }
    Ok(flags)
}

/// The version of libseccomp.
pub fn library_version() -> Option<String> {
    libseccomp::ScmpVersion::current().ok().map(|version| version.to_string())
}

/// Those of [`super::FLAGS`] that the running kernel supports.
pub fn supported_flags() -> Vec<String> {
    let works = |name: &str| {
        let flag = serde_json::from_value(serde_json::Value::from(name));
        flag.is_ok_and(|flag: LinuxSeccompFilterFlag| {
            let mut profile = LinuxSeccomp::default();
            profile.set_flags(Some(vec![flag]));
            flags(&profile, true).is_ok()
        })
    };
    super::FLAGS.iter().filter(|name| works(name)).map(|&name| name.to_owned()).collect()
}

fn since(flag: LinuxSeccompFilterFlag, needed: (u32, u32), since: &'static str) -> Result<(), SeccompError> {
    let release = kernel_release();
    let release = release.to_string_lossy();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map_while(|part| part.parse().ok());
    match (numbers.next(), numbers.next()) {
        (Some(major), Some(minor)) if (major, minor) < needed => {
            Err(SeccompError::FlagNotSupported { flag, since, release: release.into_owned() })
        }
        _ => Ok(()),
    }
}

fn action(action: LinuxSeccompAction, number: Option<u32>) -> ScmpAction {
    // An action carries 16 bits of data.
    let number = number.unwrap_or(EPERM) as u16;
    match action {
        LinuxSeccompAction::ScmpActKill | LinuxSeccompAction::ScmpActKillThread => ScmpAction::KillThread,
        LinuxSeccompAction::ScmpActKillProcess => ScmpAction::KillProcess,
        LinuxSeccompAction::ScmpActTrap => ScmpAction::Trap,
        LinuxSeccompAction::ScmpActErrno => ScmpAction::Errno(i32::from(number)),
        LinuxSeccompAction::ScmpActNotify => ScmpAction::Notify,
        LinuxSeccompAction::ScmpActTrace => ScmpAction::Trace(number),
        LinuxSeccompAction::ScmpActLog => ScmpAction::Log,
        LinuxSeccompAction::ScmpActAllow => ScmpAction::Allow,
    }
}

fn add_arch(filter: &mut ScmpFilterContext, arch: Arch) -> Result<(), SeccompError> {
    let add = |filter: &mut ScmpFilterContext| {
        let known = scmp_arch(arch)?;
        // Adding an architecture twice is an error, and the native one is there from the start.
        if !filter.is_arch_present(known)? {
            filter.add_arch(known)?;
        }
        Ok(())
    };
    add(filter).map_err(|error: libseccomp::error::SeccompError| SeccompError::Architecture {
        arch,
        reason: error.to_string(),
    })
}

/// The rules that libseccomp has been given. Adding one again changes nothing, but takes time that grows with the
/// square of the number of rules.
type Given = HashSet<(ScmpSyscall, ScmpAction, Vec<ScmpArgCompare>)>;

fn add_rule(
    filter: &mut ScmpFilterContext,
    given: &mut Given,
    rule: &LinuxSyscall,
    name: &str,
    default: ScmpAction,
) -> Result<(), SeccompError> {
    let action = action(rule.action(), rule.errno_ret());
    // libseccomp refuses a rule with the default action.
    if action == default {
        return Ok(());
    }
    let Ok(syscall) = ScmpSyscall::from_name(name) else {
        tracing::debug!("seccomp: unknown system call {name:?} skipped");
        return Ok(());
    };
    let failed = |error: libseccomp::error::SeccompError| SeccompError::Rule {
        syscall: name.to_owned(),
        action: rule.action(),
        reason: error.to_string(),
    };
    let conditions: Vec<_> = rule.args().iter().flatten().map(condition).collect();
    // One rule cannot check an argument twice. runc then makes each condition a rule of its own, so that any of them
    // suffices, and profiles rely on that.
    let alternatives = if looks_twice(rule) {
        conditions.into_iter().map(|condition| vec![condition]).collect()
    } else {
        vec![conditions]
    };
    for conditions in alternatives {
        if given.insert((syscall, action, conditions.clone())) {
            filter.add_rule_conditional(action, syscall, &conditions).map_err(failed)?;
        }
    }
    Ok(())
}

fn looks_twice(rule: &LinuxSyscall) -> bool {
    let mut seen = [false; 6];
    rule.args().iter().flatten().any(|arg| std::mem::replace(&mut seen[arg.index()], true))
}

fn condition(arg: &LinuxSeccompArg) -> ScmpArgCompare {
    let (op, datum) = match arg.op() {
        LinuxSeccompOperator::ScmpCmpNe => (ScmpCompareOp::NotEqual, arg.value()),
        LinuxSeccompOperator::ScmpCmpLt => (ScmpCompareOp::Less, arg.value()),
        LinuxSeccompOperator::ScmpCmpLe => (ScmpCompareOp::LessOrEqual, arg.value()),
        LinuxSeccompOperator::ScmpCmpEq => (ScmpCompareOp::Equal, arg.value()),
        LinuxSeccompOperator::ScmpCmpGe => (ScmpCompareOp::GreaterEqual, arg.value()),
        LinuxSeccompOperator::ScmpCmpGt => (ScmpCompareOp::Greater, arg.value()),
        // The specification's `value` is the mask, and its `valueTwo` is what the masked argument must equal.
        LinuxSeccompOperator::ScmpCmpMaskedEq => {
            (ScmpCompareOp::MaskedEqual(arg.value()), arg.value_two().unwrap_or(0))
        }
    };
    ScmpArgCompare::new(arg.index() as u32, op, datum)
}

/// Appends libseccomp's program. Before 2.6 the library can write it only to a descriptor.
fn export(filter: &ScmpFilterContext, bpf: &mut Vec<u8>) -> Result<(), SeccompError> {
    let memory = memfd_create(c"seccomp", MemFdCreateFlag::MFD_CLOEXEC).map_err(library("memfd_create"))?;
    let mut file = File::from(memory);
    filter.export_bpf(&file).map_err(library("export BPF"))?;
    file.rewind().and_then(|()| file.read_to_end(bpf)).map_err(library("read BPF"))?;
    Ok(())
}
