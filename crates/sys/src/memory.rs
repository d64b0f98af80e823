//! Copying and comparing memory, for programs that are linked with musl on x86-64.
//!
//! musl copies with `rep movsq` whatever the length, which takes some thirty cycles before the first byte, and compares byte
//! by byte. Most of what a runtime copies and compares are names and paths: a quarter of its time outside the kernel was
//! memcpy(3). [`with_musl!`](crate::with_musl) defines the functions of the C library with these.
//!
//! Loops over longer pieces are assembly, since the compiler may make a call of memcpy(3) of a loop that copies.

use std::arch::asm;
use std::arch::x86_64::__m128i;

/// Copies `length` bytes, which may overlap; memmove(3).
///
/// # Safety
/// They can be read at `from` and written at `to`.
pub unsafe fn copy(to: *mut u8, from: *const u8, length: usize) {
    // SAFETY: the caller's promise is handed on.
    unsafe {
        if length <= 64 {
            copy_few(to, from, length);
        } else if (to as usize).wrapping_sub(from as usize) >= length {
            copy_forward(to, from, length);
        } else {
            copy_backward(to, from, length);
        }
    }
}

/// Copies up to 64 bytes. All are read before the first is written.
#[inline]
unsafe fn copy_few(to: *mut u8, from: *const u8, length: usize) {
    // SAFETY: in each case, both ends are within `length` bytes, which the caller has.
    unsafe {
        match length {
            0 => {}
            1 => to.write(from.read()),
            2..4 => copy_ends::<u16>(to, from, length),
            4..8 => copy_ends::<u32>(to, from, length),
            8..16 => copy_ends::<u64>(to, from, length),
            16..=32 => copy_ends::<__m128i>(to, from, length),
            _ => copy_ends::<[__m128i; 2]>(to, from, length),
        }
    }
}

/// Copies the first and the last bytes, as many as `T` has; these overlap if there are fewer in between.
#[inline]
unsafe fn copy_ends<T>(to: *mut u8, from: *const u8, length: usize) {
    let last = length - size_of::<T>();
    // SAFETY: the caller has `length` bytes, no fewer than `T` has and no more than twice as many.
    unsafe {
        let first = from.cast::<T>().read_unaligned();
        let second = from.add(last).cast::<T>().read_unaligned();
        to.cast::<T>().write_unaligned(first);
        to.add(last).cast::<T>().write_unaligned(second);
    }
}

/// Copies 32 bytes or more; no byte is overwritten that has yet to be read if `to` is below `from`, or they do not overlap.
unsafe fn copy_forward(mut to: *mut u8, mut from: *const u8, mut length: usize) {
    // SAFETY: each turn copies 32 bytes of those that the caller has; fewer remain.
    unsafe {
        asm!(
            "2:",
            "movups {first}, [{from}]",
            "movups {second}, [{from} + 16]",
            "movups [{to}], {first}",
            "movups [{to} + 16], {second}",
            "add {from}, 32",
            "add {to}, 32",
            "sub {length}, 32",
            "cmp {length}, 32",
            "jae 2b",
            from = inout(reg) from,
            to = inout(reg) to,
            length = inout(reg) length,
            first = out(xmm_reg) _,
            second = out(xmm_reg) _,
            options(nostack),
        );
        copy_few(to, from, length);
    }
}

/// Copies 16 bytes or more; no byte is overwritten that has yet to be read if `to` is above `from`.
unsafe fn copy_backward(to: *mut u8, from: *const u8, mut length: usize) {
    // SAFETY: each turn copies the last 16 bytes of those that the caller has; fewer remain, at the beginning.
    unsafe {
        asm!(
            "2:",
            "movups {piece}, [{from} + {length} - 16]",
            "movups [{to} + {length} - 16], {piece}",
            "sub {length}, 16",
            "cmp {length}, 16",
            "jae 2b",
            from = in(reg) from,
            to = in(reg) to,
            length = inout(reg) length,
            piece = out(xmm_reg) _,
            options(nostack),
        );
        copy_few(to, from, length);
    }
}

/// Compares `length` bytes: negative, zero or positive; memcmp(3).
///
/// # Safety
/// They can be read at both places.
pub unsafe fn compare(one: *const u8, other: *const u8, length: usize) -> i32 {
    // SAFETY: all that is read is within the `length` bytes that the caller has.
    unsafe {
        if length < 4 {
            return compare_few(one, other, length);
        }
        if length < 8 {
            let ends = |at: *const u8| u64::from(four(at)) << 32 | u64::from(four(at.add(length - 4)));
            return order(ends(one), ends(other));
        }
        let mut at = 0;
        loop {
            let (a, b) = (eight(one.add(at)), eight(other.add(at)));
            if a != b || at == length - 8 {
                return order(a, b);
            }
            // The last eight overlap with what is known to be equal.
            at = (at + 8).min(length - 8);
        }
    }
}

#[inline]
unsafe fn compare_few(one: *const u8, other: *const u8, length: usize) -> i32 {
    for at in 0..length {
        // SAFETY: the caller has `length` bytes.
        let (a, b) = unsafe { (one.add(at).read(), other.add(at).read()) };
        if a != b {
            return i32::from(a) - i32::from(b);
        }
    }
    0
}

fn order(one: u64, other: u64) -> i32 {
    i32::from(one > other) - i32::from(one < other)
}

/// Bytes as a number, of which the first weighs most.
#[inline]
unsafe fn eight(at: *const u8) -> u64 {
    // SAFETY: the caller has eight bytes there.
    u64::from_be(unsafe { at.cast::<u64>().read_unaligned() })
}

/// As above.
#[inline]
unsafe fn four(at: *const u8) -> u32 {
    // SAFETY: the caller has four bytes there.
    u32::from_be(unsafe { at.cast::<u32>().read_unaligned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_is_copied_wherever_it_overlaps() {
        let before: Vec<u8> = (0..700_u32).map(|i| (i * 7 + i / 256) as u8).collect();
        for length in (0..200).chain([255, 256, 257, 300]) {
            for (to, from) in [
                (0, 350),
                (350, 0),
                (10, 10),
                (10, 11),
                (11, 10),
                (0, 31),
                (31, 0),
                (40, 57),
                (57, 40),
                (0, 63),
                (65, 0),
            ] {
                let mut bytes = before.clone();
                // SAFETY: both places and the length are within the vector.
                unsafe { copy(bytes.as_mut_ptr().add(to), bytes.as_ptr().add(from), length) };
                let mut expected = before.clone();
                expected.copy_within(from..from + length, to);
                assert_eq!(bytes, expected, "{length} bytes from {from} to {to}");
            }
        }
    }

    #[test]
    fn order_is_that_of_the_first_byte_that_differs() {
        for length in 0..40 {
            let one = vec![0x80_u8; length];
            // SAFETY: both have that length.
            let compared = |other: &[u8]| unsafe { compare(one.as_ptr(), other.as_ptr(), length) };
            assert_eq!(compared(&one), 0);
            for at in 0..length {
                for (byte, sign) in [(0x7f, 1), (0x81, -1), (0xff, -1), (0, 1)] {
                    let mut other = one.clone();
                    other[at] = byte;
                    // What follows it does not count.
                    other[at + 1..].fill(!byte);
                    assert_eq!(compared(&other).signum(), sign, "{at} of {length}: {byte}");
                }
            }
        }
    }
}
