//! Captures panics as text with their location, instead of printing them to standard error.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    /// `Some` while this thread runs an input: the text of its panic.
    static TEXT: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Installs the hook that captures panics of inputs; those of other code are reported as usual.
pub(crate) fn catch() {
    static SET: Once = Once::new();
    SET.call_once(|| {
        let usual = take_hook();
        set_hook(Box::new(move |info| {
            let of_input =
                TEXT.with_borrow_mut(|text| text.as_mut().map(|text| *text = told(info)).is_some());
            if !of_input {
                usual(info);
            }
        }));
    });
}

fn told(info: &PanicHookInfo<'_>) -> String {
    let payload = info.payload();
    let text = payload.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("a panic without text");
    let place = info.location().map(|at| format!("{}:{}", at.file(), at.line())).unwrap_or_default();
    format!("panic in {place}: {text}")
}

/// Returns the result of `run`, or the text of its panic.
pub(crate) fn caught<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    TEXT.set(Some(String::new()));
    let result = catch_unwind(AssertUnwindSafe(run));
    let text = TEXT.take().unwrap_or_default();
    result.map_err(|_| text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_text_with_its_place() {
        catch();
        let text = caught(|| [1, 2][std::hint::black_box(2)]).unwrap_err();
        assert!(text.starts_with("panic in ") && text.contains("panics.rs:"), "{text}");
        assert_eq!(caught(|| 1), Ok(1));
    }
}
