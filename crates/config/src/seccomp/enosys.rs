//! Answers ENOSYS to system calls that are newer than the profile.
//!
//! A C library tries a new system call and falls back to an old one on ENOSYS. A profile that was written before the
//! call existed answers with its default action, usually EPERM, and the fallback does not happen. So, like runc, we
//! put a stub in front of the filter: for each architecture of the profile, every number above the highest system
//! call that the profile names is answered with ENOSYS. Lower numbers are left to the filter, even those in gaps.
//!
//! The stub is one section per architecture as the kernel reports it, and falls through to the filter:
//!
//! ```text
//!         ld   arch
//! A:      jeq  #A, else B
//!         ld   nr
//!         jgt  #last, else filter
//!         ret  ENOSYS
//! B:      ...
//! filter:
//! ```
//!
//! `x86_64` and x32 share an architecture and are distinguished by bit 30 of the number.

use libseccomp::{ScmpArch, ScmpSyscall};
use nix::errno::Errno;
use oci_spec::runtime::{LinuxSeccomp, LinuxSeccompAction};

use super::bpf::{Insn, JA, JEQ, JGT, JSET, LD_W_ABS, OFFSET_ARCH, OFFSET_NR, RET};
use super::profile::{SeccompError, rules, scmp_arch};

/// `__X32_SYSCALL_BIT` (asm/unistd.h).
const X32_BIT: u32 = 0x4000_0000;

/// ENOSYS. MIPS has its own errno values, and the kernel of the running machine interprets them.
const ENOSYS: u32 = Errno::ENOSYS as u32;

/// `SECCOMP_RET_ERRNO | ENOSYS` (linux/seccomp.h).
const RET_ENOSYS: u32 = 0x0005_0000 | ENOSYS;

/// How the kernel reports an architecture: `AUDIT_ARCH_*` (linux/audit.h).
fn audit_arch(arch: ScmpArch) -> Option<u32> {
    /// `__AUDIT_ARCH_64BIT`.
    const WIDE: u32 = 0x8000_0000;
    /// `__AUDIT_ARCH_LE`.
    const LITTLE: u32 = 0x4000_0000;
    /// `__AUDIT_ARCH_CONVENTION_MIPS64_N32`.
    const N32: u32 = 0x2000_0000;
    Some(match arch {
        ScmpArch::X86 => 0x3 | LITTLE,
        ScmpArch::X8664 | ScmpArch::X32 => 0x3e | WIDE | LITTLE,
        ScmpArch::Arm => 0x28 | LITTLE,
        ScmpArch::Aarch64 => 0xb7 | WIDE | LITTLE,
        ScmpArch::Loongarch64 => 0x102 | WIDE | LITTLE,
        ScmpArch::M68k => 0x4,
        ScmpArch::Mips => 0x8,
        ScmpArch::Mips64 => 0x8 | WIDE,
        ScmpArch::Mips64N32 => 0x8 | WIDE | N32,
        ScmpArch::Mipsel => 0x8 | LITTLE,
        ScmpArch::Mipsel64 => 0x8 | WIDE | LITTLE,
        ScmpArch::Mipsel64N32 => 0x8 | WIDE | LITTLE | N32,
        ScmpArch::Ppc => 0x14,
        ScmpArch::Ppc64 => 0x15 | WIDE,
        ScmpArch::Ppc64Le => 0x15 | WIDE | LITTLE,
        ScmpArch::S390 => 0x16,
        ScmpArch::S390X => 0x16 | WIDE,
        ScmpArch::Parisc => 0xf,
        ScmpArch::Parisc64 => 0xf | WIDE,
        ScmpArch::Riscv64 => 0xf3 | WIDE | LITTLE,
        ScmpArch::Sheb => 0x2a,
        ScmpArch::Sh => 0x2a | LITTLE,
        // The caller has resolved Native; an architecture that only a newer libseccomp knows gets no stub.
        _ => return None,
    })
}

/// The last system call that the profile names, for each numbering on one architecture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Section {
    audit: u32,
    /// For every numbering except x32.
    last: Option<u32>,
    /// For x32, including bit 30.
    last_x32: Option<u32>,
    arch: ScmpArch,
}

/// The stub for a profile, as bytes; empty if the profile needs none.
pub(super) fn stub(profile: &LinuxSeccomp) -> Result<Vec<u8>, SeccompError> {
    if !needed(profile) {
        return Ok(Vec::new());
    }
    let sections = sections(profile)?;
    Ok(program(&sections).into_iter().flat_map(Insn::to_bytes).collect())
}

/// Whether a stub is needed. It is not if the default action lets the call through or is already ENOSYS. A tracer is
/// left to answer by itself: it may well emulate the call.
fn needed(profile: &LinuxSeccomp) -> bool {
    match profile.default_action() {
        LinuxSeccompAction::ScmpActAllow
        | LinuxSeccompAction::ScmpActLog
        | LinuxSeccompAction::ScmpActTrace => false,
        LinuxSeccompAction::ScmpActErrno => profile.default_errno_ret() != Some(ENOSYS),
        _ => true,
    }
}

fn sections(profile: &LinuxSeccomp) -> Result<Vec<Section>, SeccompError> {
    // The native architecture is part of every filter; it comes first because it is the one that runs.
    let native = ScmpArch::native();
    let mut archs = vec![native];
    for arch in profile.architectures().iter().flatten() {
        let known = scmp_arch(*arch)
            .map_err(|error| SeccompError::Architecture { arch: *arch, reason: error.to_string() })?;
        if known != ScmpArch::Native && !archs.contains(&known) {
            archs.push(known);
        }
    }
    let mut sections: Vec<Section> = Vec::new();
    for arch in archs {
        let (Some(audit), Some(last)) = (audit_arch(arch), last_syscall(profile, arch)) else { continue };
        let index = sections.iter().position(|section| section.audit == audit).unwrap_or_else(|| {
            sections.push(Section { audit, last: None, last_x32: None, arch });
            sections.len() - 1
        });
        let section = &mut sections[index];
        *(if arch == ScmpArch::X32 { &mut section.last_x32 } else { &mut section.last }) = Some(last);
    }
    Ok(sections)
}

/// The highest number among the names in the profile, or `None` if the architecture has none of the calls.
fn last_syscall(profile: &LinuxSeccomp, arch: ScmpArch) -> Option<u32> {
    rules(profile)
        .iter()
        .flat_map(oci_spec::runtime::LinuxSyscall::names)
        .filter_map(|name| ScmpSyscall::from_name_by_arch(name, arch).ok())
        // Negative ones are libseccomp's own, for calls that this architecture does not have.
        .filter_map(|syscall| u32::try_from(syscall.as_raw_syscall()).ok())
        .max()
        // As in runc, number 0 alone says nothing about how new the profile is.
        .filter(|last| *last != 0)
}

fn program(sections: &[Section]) -> Vec<Insn> {
    let bodies: Vec<_> = sections.iter().map(body).collect();
    // The number of instructions from the end of each section to the filter.
    let mut rest: usize = bodies.iter().map(|body| body.len() + 2).sum();
    let mut program = Vec::with_capacity(rest + 1);
    if rest > 0 {
        program.push(Insn::plain(LD_W_ABS, OFFSET_ARCH));
    }
    for (section, body) in sections.iter().zip(bodies) {
        let length = body.len() + 1;
        rest -= length + 1;
        program.push(Insn::jump(JEQ, section.audit, 0, length as u8));
        program.extend(body);
        program.push(Insn::plain(JA, rest as u32));
    }
    program
}

/// The instructions of a section once the architecture is known: every path ends in ENOSYS or after the last
/// instruction.
fn body(section: &Section) -> Vec<Insn> {
    let load = Insn::plain(LD_W_ABS, OFFSET_NR);
    let enosys = Insn::plain(RET, RET_ENOSYS);
    match (section.last, section.last_x32) {
        (Some(last), Some(x32)) => vec![
            load,
            Insn::jump(JSET, X32_BIT, 1, 0),
            Insn::jump(JGT, last, 1, 2),
            Insn::jump(JGT, x32, 0, 1),
            enosys,
        ],
        (Some(last), None) if section.arch == ScmpArch::X8664 => {
            vec![load, Insn::jump(JSET, X32_BIT, 2, 0), Insn::jump(JGT, last, 0, 1), enosys]
        }
        // On s390, calls that are too new for the kernel arrive as number 0: numbers above 255 are passed in a
        // register, and the kernel leaves 0 in place if it does not know them.
        (Some(last), None) if matches!(section.arch, ScmpArch::S390 | ScmpArch::S390X) => {
            vec![load, Insn::jump(JEQ, 0, 1, 0), Insn::jump(JGT, last, 0, 1), enosys]
        }
        (Some(last), None) => vec![load, Insn::jump(JGT, last, 0, 1), enosys],
        (None, Some(x32)) => {
            vec![load, Insn::jump(JSET, X32_BIT, 0, 2), Insn::jump(JGT, x32, 0, 1), enosys]
        }
        (None, None) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::vm;
    use super::*;

    const AARCH64: u32 = 0xc000_00b7;
    const S390X: u32 = 0x8000_0016;
    const X86_64: u32 = 0xc000_003e;
    const I386: u32 = 0x4000_0003;

    fn section(arch: ScmpArch, last: Option<u32>, last_x32: Option<u32>) -> Section {
        Section { audit: audit_arch(arch).expect("known"), last, last_x32, arch }
    }

    /// Runs the stub before a filter that allows everything.
    fn decide(sections: &[Section], arch: u32, nr: u32) -> u32 {
        let mut program = program(sections);
        program.push(Insn::plain(RET, vm::ALLOW));
        vm::run(&program, &vm::Call { nr, arch, args: [0; 6] })
    }

    #[test]
    fn numbers_above_the_last_get_enosys_on_every_architecture() {
        let sections = [
            section(ScmpArch::X8664, Some(300), Some(X32_BIT + 500)),
            section(ScmpArch::X86, Some(200), None),
            section(ScmpArch::Aarch64, Some(100), None),
            section(ScmpArch::S390X, Some(400), None),
        ];
        for (arch, nr, expected) in [
            (X86_64, 0, vm::ALLOW),
            (X86_64, 300, vm::ALLOW),
            (X86_64, 301, RET_ENOSYS),
            (X86_64, X32_BIT, vm::ALLOW),
            (X86_64, X32_BIT + 500, vm::ALLOW),
            (X86_64, X32_BIT + 501, RET_ENOSYS),
            (I386, 200, vm::ALLOW),
            (I386, 201, RET_ENOSYS),
            (AARCH64, 100, vm::ALLOW),
            (AARCH64, 101, RET_ENOSYS),
            (S390X, 0, RET_ENOSYS),
            (S390X, 1, vm::ALLOW),
            (S390X, 400, vm::ALLOW),
            (S390X, 401, RET_ENOSYS),
            (0x1234, 9999, vm::ALLOW),
        ] {
            assert_eq!(decide(&sections, arch, nr), expected, "{arch:#x} {nr:#x}");
        }
    }

    #[test]
    fn x86_64_alone_leaves_x32_to_the_filter_and_the_other_way_round() {
        let native = [section(ScmpArch::X8664, Some(300), None)];
        assert_eq!(decide(&native, X86_64, 301), RET_ENOSYS);
        assert_eq!(decide(&native, X86_64, X32_BIT + 301), vm::ALLOW);
        let x32 = [section(ScmpArch::X32, None, Some(X32_BIT + 500))];
        assert_eq!(decide(&x32, X86_64, 9999), vm::ALLOW);
        assert_eq!(decide(&x32, X86_64, X32_BIT + 501), RET_ENOSYS);
        assert_eq!(decide(&x32, X86_64, X32_BIT + 500), vm::ALLOW);
    }

    #[test]
    fn no_section_means_no_stub() {
        assert_eq!(program(&[]), []);
    }

    #[test]
    fn every_architecture_of_a_profile_has_its_audit_number() {
        for name in super::super::ARCHITECTURES {
            assert!(audit_arch(name.parse().expect(name)).is_some(), "{name}");
        }
    }
}
