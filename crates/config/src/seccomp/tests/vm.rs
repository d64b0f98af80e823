//! A small interpreter for classic BPF, which determines a program's decisions without loading it.

use super::super::bpf::Insn;

/// `SECCOMP_RET_ALLOW`.
pub(crate) const ALLOW: u32 = 0x7fff_0000;
/// `SECCOMP_RET_KILL_PROCESS`.
pub(crate) const KILL_PROCESS: u32 = 0x8000_0000;
/// `SECCOMP_RET_KILL_THREAD`.
pub(crate) const KILL_THREAD: u32 = 0;
/// `SECCOMP_RET_TRAP`.
pub(crate) const TRAP: u32 = 0x0003_0000;
/// `SECCOMP_RET_USER_NOTIF`.
pub(crate) const NOTIFY: u32 = 0x7fc0_0000;
/// `SECCOMP_RET_LOG`.
pub(crate) const LOG: u32 = 0x7ffc_0000;

/// `SECCOMP_RET_ERRNO` with a number.
pub(crate) const fn errno(number: u32) -> u32 {
    0x0005_0000 | number
}

/// `SECCOMP_RET_TRACE` with a number.
pub(crate) const fn trace(number: u32) -> u32 {
    0x7ff0_0000 | number
}

/// What a filter sees of a system call: `struct seccomp_data`.
pub(crate) struct Call {
    pub(crate) nr: u32,
    pub(crate) arch: u32,
    pub(crate) args: [u64; 6],
}

impl Call {
    /// The structure as it is laid out in memory; the instruction pointer is left zero.
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = [self.nr.to_ne_bytes(), self.arch.to_ne_bytes()].concat();
        bytes.extend([0; 8]);
        bytes.extend(self.args.iter().flat_map(|arg| arg.to_ne_bytes()));
        bytes
    }
}

/// The program as instructions.
pub(crate) fn parse(bpf: &[u8]) -> Vec<Insn> {
    let (chunks, rest) = bpf.as_chunks();
    assert!(rest.is_empty(), "cut in the middle of an instruction");
    chunks.iter().map(|chunk| Insn::from_bytes(*chunk)).collect()
}

/// Runs the program on a call and returns its decision.
pub(crate) fn run(program: &[Insn], call: &Call) -> u32 {
    let data = call.bytes();
    let (mut a, mut x, mut memory) = (0_u32, 0_u32, [0_u32; 16]);
    let mut pc = 0;
    loop {
        let Insn { code, jt, jf, k } = program[pc];
        pc += 1;
        let operand = if code & 0x08 == 0 { k } else { x };
        let branch = |taken: bool| usize::from(if taken { jt } else { jf });
        match code {
            0x20 => {
                let at = k as usize;
                assert!(at.is_multiple_of(4), "the kernel refuses unaligned loads");
                a = u32::from_ne_bytes(data[at..at + 4].try_into().expect("four bytes"));
            }
            0x00 => a = k,
            0x01 => x = k,
            0x60 => a = memory[k as usize],
            0x61 => x = memory[k as usize],
            0x02 => memory[k as usize] = a,
            0x03 => memory[k as usize] = x,
            0x07 => x = a,
            0x87 => a = x,
            0x54 | 0x5c => a &= operand,
            0x05 => pc += k as usize,
            0x15 | 0x1d => pc += branch(a == operand),
            0x25 | 0x2d => pc += branch(a > operand),
            0x35 | 0x3d => pc += branch(a >= operand),
            0x45 | 0x4d => pc += branch(a & operand != 0),
            0x06 => return k,
            0x16 => return a,
            other => panic!("instruction {other:#x} at {} is not known here", pc - 1),
        }
    }
}
