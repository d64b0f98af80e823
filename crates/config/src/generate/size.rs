//! Sizes such as `64m`.

use super::error::{GenerateError, wrong};

/// A size in bytes: a number with an optional unit, as Docker and systemd read it. `k`, `m`, `g`, `t` and
/// `p` are powers of 1024, with or without `b` or `ib` after them, in either case; fractions are
/// allowed (`1.5g`), as is -1, which flags take for "no limit".
///
/// # Errors
/// [`GenerateError::Flag`] if it is not a size, or is too large for the kernel's 64 bits.
pub fn size(flag: &'static str, text: &str) -> Result<i64, GenerateError> {
    let malformed =
        || wrong(flag, text, "is not a size; write bytes or a unit, for example 512k, 64m or 1.5g");
    if text == "-1" {
        return Ok(-1);
    }
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim().to_ascii_lowercase();
    let prefix = unit.strip_suffix("ib").or_else(|| unit.strip_suffix('b')).unwrap_or(&unit);
    let shift = match prefix {
        "" if unit != "ib" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        "p" => 50,
        _ => return Err(malformed()),
    };
    let too_large = || wrong(flag, text, format!("is too large; the most is {} bytes", i64::MAX));
    if let Ok(whole) = number.parse::<i64>() {
        return whole.checked_mul(1 << shift).ok_or_else(too_large);
    }
    if !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(too_large());
    }
    let bytes = number.parse::<f64>().map_err(|_| malformed())? * f64::from(1_u32 << (shift / 2)).powi(2);
    // 2^63, which a double holds exactly.
    if bytes < 9_223_372_036_854_775_808.0 { Ok(bytes as i64) } else { Err(too_large()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_binary_units() {
        for (text, expected) in [
            ("0", 0),
            ("-1", -1),
            ("4096", 4096),
            ("1b", 1),
            ("512k", 512 << 10),
            ("64m", 64 << 20),
            ("64M", 64 << 20),
            ("64mb", 64 << 20),
            ("64MiB", 64 << 20),
            ("1g", 1 << 30),
            ("1.5g", 3 << 29),
            ("0.5k", 512),
            ("2 t", 2 << 40),
            ("1p", 1 << 50),
            ("9223372036854775807", i64::MAX),
        ] {
            assert_eq!(size("memory", text).expect(text), expected, "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "m", "x", "1x", "-2", "1.2.3m", "64 m b", "1ib", ".", "1e3", "0x10", "64mm"] {
            let error = size("memory", text).expect_err(text).to_string();
            assert!(error.starts_with(&format!("--memory {text:?}: is not a size; write")), "{error}");
        }
        for text in ["9223372036854775808", "8192p", "9999999.5p"] {
            let error = size("memory", text).expect_err(text).to_string();
            assert!(error.contains("is too large; the most is 9223372036854775807"), "{error}");
        }
    }
}
