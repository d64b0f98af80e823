//! Classic BPF instructions, as seccomp(2) takes them (linux/filter.h, `linux/bpf_common.h`).

/// `BPF_LD | BPF_W | BPF_ABS`: loads a word of `struct seccomp_data`.
pub(super) const LD_W_ABS: u16 = 0x20;
/// `BPF_JMP | BPF_JA`.
pub(super) const JA: u16 = 0x05;
/// `BPF_JMP | BPF_JEQ | BPF_K`.
pub(super) const JEQ: u16 = 0x15;
/// `BPF_JMP | BPF_JGT | BPF_K`.
pub(super) const JGT: u16 = 0x25;
/// `BPF_JMP | BPF_JSET | BPF_K`.
pub(super) const JSET: u16 = 0x45;
/// `BPF_RET | BPF_K`.
pub(super) const RET: u16 = 0x06;

/// Offset of `nr` in `struct seccomp_data`.
pub(super) const OFFSET_NR: u32 = 0;
/// Offset of `arch` in `struct seccomp_data`.
pub(super) const OFFSET_ARCH: u32 = 4;

/// `sizeof(struct sock_filter)`.
pub(super) const SIZE: usize = 8;
/// `BPF_MAXINSNS`: the longest program that the kernel loads.
pub(super) const MAX: usize = 4096;

/// One `struct sock_filter`. Jump offsets count from the next instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Insn {
    pub(super) code: u16,
    pub(super) jt: u8,
    pub(super) jf: u8,
    pub(super) k: u32,
}

impl Insn {
    /// An instruction without conditional jumps.
    pub(super) const fn plain(code: u16, k: u32) -> Self {
        Self { code, jt: 0, jf: 0, k }
    }

    /// A conditional jump.
    pub(super) const fn jump(code: u16, k: u32, jt: u8, jf: u8) -> Self {
        Self { code, jt, jf, k }
    }

    /// The instruction as it is laid out in memory.
    pub(super) fn to_bytes(self) -> [u8; SIZE] {
        let [code0, code1] = self.code.to_ne_bytes();
        let [k0, k1, k2, k3] = self.k.to_ne_bytes();
        [code0, code1, self.jt, self.jf, k0, k1, k2, k3]
    }

    /// The reverse of [`Insn::to_bytes`].
    #[cfg(test)]
    pub(super) fn from_bytes(bytes: [u8; SIZE]) -> Self {
        let [code0, code1, jt, jf, k0, k1, k2, k3] = bytes;
        Self { code: u16::from_ne_bytes([code0, code1]), jt, jf, k: u32::from_ne_bytes([k0, k1, k2, k3]) }
    }
}
