//! The log, either as lines for people or as the JSON lines that conmon and containerd's shim read.
//!
//! The formats are those of the logger that runc uses, since engines parse them.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::sync::OnceLock;

use rootling_runtime::{Error, Result, one_line};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Metadata, Subscriber, span};

use crate::global::{Global, LogFormat, LogLevel};

struct Log {
    file: Option<File>,
    json: bool,
    level: LogLevel,
}

static LOG: OnceLock<Log> = OnceLock::new();

/// Opens the log as the options ask for.
pub fn start(global: &Global) -> Result<()> {
    let file = match &global.log {
        Some(path) if !path.as_os_str().is_empty() => {
            let file = File::options().append(true).create(true).open(path);
            Some(file.map_err(|e| {
                Error::invalid(format!("--log {path:?}: {e}; name a file that can be written"))
            })?)
        }
        _ => None,
    };
    let level = if global.debug { LogLevel::Debug } else { global.log_level };
    let _ = LOG.set(Log { file, json: global.log_format == LogFormat::Json, level });
    let _ = tracing::subscriber::set_global_default(Events);
    Ok(())
}

/// Logs a failure; the process that started us sees it on standard error in any case.
pub fn failure(message: &str) {
    line(LogLevel::Error, message);
    if LOG.get().is_some_and(|l| l.file.is_some()) {
        eprintln!("rootling: {message}");
    }
}

/// Logs what the user should know although it is no failure.
pub fn warning(message: &str) {
    line(LogLevel::Warning, message);
}

fn line(level: LogLevel, message: &str) {
    let log = LOG.get();
    if log.is_some_and(|l| level > l.level) {
        return;
    }
    // Messages of the other levels are shown in full.
    let short = (level <= LogLevel::Warning).then(|| one_line(message.to_owned()));
    let message = short.as_deref().unwrap_or(message);
    let text = render(level, message, log.is_some_and(|l| l.json), log.is_some_and(|l| l.file.is_some()));
    // A single write, so that lines from several processes do not mix. If it fails, nobody can be told.
    let _ = match log.and_then(|l| l.file.as_ref()) {
        Some(mut file) => file.write_all(text.as_bytes()),
        None => std::io::stderr().write_all(text.as_bytes()),
    };
}

fn render(level: LogLevel, message: &str, json: bool, dated: bool) -> String {
    let name = match level {
        LogLevel::Error => "error",
        LogLevel::Warning => "warning",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
    };
    if json {
        let quoted = |s: &str| serde_json::Value::from(s).to_string();
        return format!(
            "{{\"level\":\"{name}\",\"msg\":{},\"time\":\"{}\"}}\n",
            quoted(message),
            rootling_runtime::now()
        );
    }
    if dated {
        return dated_line(name, message);
    }
    match level {
        LogLevel::Error => format!("rootling: {message}\n"),
        LogLevel::Warning => format!("rootling: {name}: {message}\n"),
        // What was asked for with --debug or --log-level has the form of a log, even on a terminal.
        LogLevel::Info | LogLevel::Debug => dated_line(name, message),
    }
}

/// Formats a line of the text format.
fn dated_line(level: &str, message: &str) -> String {
    format!("time=\"{}\" level={level} msg={message:?}\n", rootling_runtime::now())
}

/// Receives what the other crates log.
struct Events;

impl Subscriber for Events {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.max_level_hint().is_some_and(|max| *metadata.level() <= max)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(match LOG.get().map(|l| l.level) {
            Some(LogLevel::Debug) => LevelFilter::DEBUG,
            Some(LogLevel::Info) => LevelFilter::INFO,
            Some(LogLevel::Error) => LevelFilter::ERROR,
            _ => LevelFilter::WARN,
        })
    }

    fn event(&self, event: &Event<'_>) {
        let level = match *event.metadata().level() {
            Level::ERROR => LogLevel::Error,
            Level::WARN => LogLevel::Warning,
            Level::INFO => LogLevel::Info,
            _ => LogLevel::Debug,
        };
        let mut text = Text::default();
        event.record(&mut text);
        line(level, &format!("{}{}", text.message, text.fields).replace('\n', " "));
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_json_line_is_one_json_object_whatever_the_message() {
        let line = render(LogLevel::Error, "a \"b\"\tc", true, true);
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!((value["level"].as_str(), value["msg"].as_str()), (Some("error"), Some("a \"b\"\tc")));
    }

    #[test]
    fn people_get_one_plain_line() {
        assert_eq!(render(LogLevel::Error, "no", false, false), "rootling: no\n");
        assert_eq!(render(LogLevel::Warning, "no", false, false), "rootling: warning: no\n");
    }

    #[test]
    fn lines_of_the_text_format_have_time_level_and_message() {
        for (level, dated) in [(LogLevel::Debug, false), (LogLevel::Info, false), (LogLevel::Error, true)] {
            let line = render(level, "a \"b\"", false, dated);
            assert!(line.starts_with("time=\"20") && line.ends_with(" msg=\"a \\\"b\\\"\"\n"), "{line}");
        }
    }
}
