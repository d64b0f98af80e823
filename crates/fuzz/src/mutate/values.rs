//! Values that have caused programs trouble.

use fastrand::Rng;
use serde_json::{Value, json};

/// Strings and words.
const STRINGS: [&str; 44] = [
    "",
    " ",
    "/",
    ".",
    "..",
    "../x",
    "/../../etc",
    "//",
    "/a/./b/../c",
    "a\0b",
    "/a\nb",
    "\t",
    "\u{1b}[1m",
    "\u{feff}x",
    "\u{202e}x",
    "ä€😀",
    "-1",
    "-0",
    "+1",
    "0",
    "00",
    "0x10",
    "1e9",
    "0.5",
    "65536",
    "2147483648",
    "4294967294",
    "4294967295",
    "4294967296",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "340282366920938463463374607431768211456",
    "max",
    "infinity",
    "nan",
    "true",
    "null",
    "%s%n",
    "{}",
    "\\",
    "'\"",
    "/proc/self/fd/3",
];

/// JSON that `Value` cannot represent, and invalid JSON.
const RAW: [&str; 20] = [
    "1e400",
    "-1e400",
    "-0",
    "-0.0",
    "1.0",
    "1E5",
    "18446744073709551616",
    "-9223372036854775809",
    "123456789012345678901234567890",
    "NaN",
    "Infinity",
    "01",
    "nul",
    "\"\\ud800\"",
    "\"\\u0000\"",
    "\"\\x\"",
    "'x'",
    "[,]",
    "{\"a\":1,\"a\":2}",
    "/* */ 1",
];

/// A string, which is long now and then.
pub(super) fn string(rng: &mut Rng) -> String {
    match rng.u32(..200) {
        0 => "x".repeat(70_000),
        1 => "a/".repeat(35_000),
        2 => "ä".repeat(3_000),
        3..6 => "y".repeat(rng.usize(200..5_000)),
        _ => pick(rng, &STRINGS).to_string(),
    }
}

/// A value of any type.
pub(super) fn value(rng: &mut Rng) -> Value {
    match rng.u32(..12) {
        0 => Value::Null,
        1 => json!(rng.bool()),
        2..6 => number(rng),
        6..9 => Value::String(string(rng)),
        9 => json!([]),
        10 => json!({}),
        _ => deep(rng),
    }
}

/// A value of the same type.
pub(super) fn like(value: &Value, rng: &mut Rng) -> Value {
    match value {
        Value::Null => Value::Null,
        Value::Bool(_) => json!(rng.bool()),
        Value::Number(_) => number(rng),
        Value::String(_) => Value::String(string(rng)),
        Value::Array(_) => json!([]),
        Value::Object(_) => json!({}),
    }
}

fn number(rng: &mut Rng) -> Value {
    let signed = [0, -1, 1, -2, 255, 256, 65_535, 65_536, -2_147_483_649, 4_294_967_295, i64::MIN, i64::MAX];
    match rng.u32(..8) {
        0 => json!(u64::MAX),
        1 => json!(u64::MAX - 1),
        2 => json!(0.5),
        3 => json!(1e308),
        4 => json!(rng.u64(..)),
        5 => json!(rng.i32(-100..100)),
        _ => json!(pick(rng, &signed)),
    }
}

/// A deeply nested value.
fn deep(rng: &mut Rng) -> Value {
    let depth = if rng.u32(..50) == 0 { 300 } else { rng.usize(1..12) };
    let object = rng.bool();
    (0..depth).fold(json!("x"), |inner, _| if object { json!({ "a": inner }) } else { json!([inner]) })
}

/// Text in place of a JSON value.
pub(super) fn raw(rng: &mut Rng) -> &'static str {
    pick(rng, &RAW)
}

/// A random element of a non-empty list.
pub(super) fn pick<T: Copy>(rng: &mut Rng, list: &[T]) -> T {
    list[rng.usize(..list.len())]
}
