//! Compiles a rule set to a program of type `BPF_PROG_TYPE_CGROUP_DEVICE` (linux/bpf.h, bpf(2)).
//!
//! The kernel calls it for every open and mknod of a device, with a `struct bpf_cgroup_dev_ctx` in r1, and allows
//! the access if it returns 1. The program only compares and returns, so an assembler of eight instructions is
//! enough.

use super::{Kind, Ruleset};

/// The access bits of a rule that permits or denies every access.
const ALL: u8 = super::rule::ALL;

/// `BPF_DEVCG_DEV_BLOCK` and `BPF_DEVCG_DEV_CHAR`.
const BLOCK: i32 = 1;
const CHAR: i32 = 2;

/// The registers that this program uses: the result, the context that is later used as scratch, then the device's
/// type, the requested access, and the device's numbers.
const RESULT: u8 = 0;
const CONTEXT: u8 = 1;
const SCRATCH: u8 = 1;
const TYPE: u8 = 2;
const ACCESS: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;

/// `struct bpf_insn`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Insn {
    code: u8,
    dst: u8,
    src: u8,
    off: i16,
    imm: i32,
}

// The class, operation and source of each instruction, combined as in linux/bpf_common.h.
const LOAD_U32: u8 = 0x61;
const AND32: u8 = 0x54;
const RIGHT_SHIFT32: u8 = 0x74;
const MOVE32: u8 = 0xb4;
const MOVE32_REG: u8 = 0xbc;
const JUMP_NE: u8 = 0x55;
const JUMP_NE_REG: u8 = 0x5d;
const EXIT: u8 = 0x95;

const fn insn(code: u8, dst: u8, src: u8, off: i16, imm: i32) -> Insn {
    Insn { code, dst, src, off, imm }
}

/// The program for `rules`, in bytes for `BPF_PROG_LOAD`.
pub(crate) fn compile(rules: &Ruleset) -> Vec<u8> {
    assemble(rules).into_iter().flat_map(Insn::bytes).collect()
}

fn assemble(rules: &Ruleset) -> Vec<Insn> {
    // The type is in the lower half of the first word, the access in the upper half.
    let mut program = vec![
        insn(LOAD_U32, TYPE, CONTEXT, 0, 0),
        insn(AND32, TYPE, 0, 0, 0xffff),
        insn(LOAD_U32, ACCESS, CONTEXT, 0, 0),
        insn(RIGHT_SHIFT32, ACCESS, 0, 0, 16),
        insn(LOAD_U32, MAJOR, CONTEXT, 4, 0),
        insn(LOAD_U32, MINOR, CONTEXT, 8, 0),
    ];
    for (what, access) in &rules.exceptions {
        let mut block = Vec::with_capacity(8);
        block.push(insn(JUMP_NE, TYPE, 0, 0, if what.kind == Kind::Block { BLOCK } else { CHAR }));
        if *access != ALL {
            block.push(insn(MOVE32_REG, SCRATCH, ACCESS, 0, 0));
            block.push(insn(AND32, SCRATCH, 0, 0, i32::from(*access)));
            block.push(insn(JUMP_NE_REG, SCRATCH, ACCESS, 0, 0));
        }
        for (register, number) in [(MAJOR, what.major), (MINOR, what.minor)] {
            if let Some(number) = number {
                // The kernel sign-extends it: a number above 2^31 matches nothing, and no device has one, since
                // majors have 12 bits and minors have 20.
                block.push(insn(JUMP_NE, register, 0, 0, number.cast_signed()));
            }
        }
        block.extend(answer(!rules.default_allow));
        program.extend(to_the_end(block));
    }
    program.extend(answer(rules.default_allow));
    program
}

fn answer(allow: bool) -> [Insn; 2] {
    [insn(MOVE32, RESULT, 0, 0, i32::from(allow)), insn(EXIT, 0, 0, 0, 0)]
}

/// Makes every jump of `block` lead to the instruction after it.
fn to_the_end(mut block: Vec<Insn>) -> Vec<Insn> {
    let len = block.len();
    for (at, insn) in block.iter_mut().enumerate() {
        if matches!(insn.code, JUMP_NE | JUMP_NE_REG) {
            insn.off = (len - at - 1) as i16;
        }
    }
    block
}

impl Insn {
    fn bytes(self) -> [u8; 8] {
        // Two bit-fields of four bits, whose order within the byte depends on the machine.
        let registers =
            if cfg!(target_endian = "little") { self.src << 4 | self.dst } else { self.dst << 4 | self.src };
        let ([o0, o1], [i0, i1, i2, i3]) = (self.off.to_ne_bytes(), self.imm.to_ne_bytes());
        [self.code, registers, o0, o1, i0, i1, i2, i3]
    }
}

#[cfg(test)]
mod tests {
    use super::super::rule::{MKNOD, READ, WRITE};
    use super::*;

    /// Runs a program as the kernel would.
    fn run(program: &[Insn], kind: i32, access: u8, major: u32, minor: u32) -> bool {
        let context = [kind.cast_unsigned() | u32::from(access) << 16, major, minor];
        let mut r = [0_u64; 11];
        let mut pc = 0;
        loop {
            let i = program[pc];
            let (dst, src, imm) = (usize::from(i.dst), usize::from(i.src), i.imm as u32);
            pc += 1;
            match i.code {
                LOAD_U32 => r[dst] = u64::from(context[i.off as usize / 4]),
                AND32 => r[dst] = u64::from(r[dst] as u32 & imm),
                RIGHT_SHIFT32 => r[dst] = u64::from(r[dst] as u32 >> imm),
                MOVE32 => r[dst] = u64::from(imm),
                MOVE32_REG => r[dst] = u64::from(r[src] as u32),
                JUMP_NE if r[dst] != i64::from(i.imm) as u64 => pc += i.off as usize,
                JUMP_NE_REG if r[dst] != r[src] => pc += i.off as usize,
                JUMP_NE | JUMP_NE_REG => {}
                EXIT => return r[0] == 1,
                code => panic!("instruction {code:#x}"),
            }
        }
    }

    fn decides(json: &str, cases: &[(i32, u8, u32, u32, bool)]) {
        let rules = Ruleset::of(&serde_json::from_str::<Vec<_>>(json).unwrap()).unwrap();
        let program = assemble(&rules);
        for &(kind, access, major, minor, allowed) in cases {
            let decision = run(&program, kind, access, major, minor);
            assert_eq!(decision, allowed, "{json}: {kind} {access} {major}:{minor}");
        }
    }

    #[test]
    fn the_default_rules_allow_the_default_devices_only() {
        decides(
            "[]",
            &[
                (CHAR, READ | WRITE, 1, 3, true),
                (CHAR, READ, 1, 8, true),
                (CHAR, READ, 1, 1, false),
                (CHAR, MKNOD, 1, 1, true),
                (CHAR, MKNOD | READ, 1, 1, false),
                (CHAR, WRITE, 136, 4711, true),
                (BLOCK, READ, 1, 3, false),
                (BLOCK, MKNOD, 8, 0, true),
            ],
        );
    }

    #[test]
    fn a_wildcard_and_a_part_of_the_access_are_honoured() {
        decides(
            r#"[{"allow":true,"type":"b","major":8,"access":"r"}]"#,
            &[
                (BLOCK, READ, 8, 5, true),
                (BLOCK, READ | WRITE, 8, 5, false),
                (BLOCK, WRITE, 8, 5, false),
                (BLOCK, READ, 9, 5, false),
                (CHAR, READ, 8, 5, false),
            ],
        );
    }

    #[test]
    fn denied_exceptions_of_an_allowing_default_are_denied() {
        decides(
            r#"[{"allow":true,"access":"rwm"},{"allow":false,"type":"b","major":8,"minor":0,"access":"rwm"}]"#,
            &[(BLOCK, READ, 8, 0, false), (BLOCK, READ, 8, 1, true), (CHAR, WRITE, 1, 1, true)],
        );
    }
}
