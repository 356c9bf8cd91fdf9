//! Sets up what the program says of itself: `tracing` events on standard error.
//!
//! A thread of its own writes them, from a bounded queue: a reader that stops reading standard error must not stop the
//! gateway. What the queue does not hold is dropped.
//! Requests are not traced: they are counted (`metrics`) and written to the access log (`access_log`). Only one that an
//! upstream has failed is an event.

mod settings;

use std::io::{self, IsTerminal};

pub use settings::{Format, Level, Settings};
use tracing::{Subscriber, level_filters::LevelFilter};
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::{
    Layer,
    filter::Targets,
    fmt::{self, MakeWriter},
    layer::SubscriberExt,
    registry::LookupSpan,
    util::SubscriberInitExt,
};

/// Sends the program's events to standard error from now on. Once is enough; a second call changes nothing.
///
/// Dropping the returned value writes what is still queued, within a second, and ends the thread.
pub fn install(settings: &Settings) -> Telemetry {
    let queue =
        NonBlockingBuilder::default().lossy(true).buffered_lines_limit(QUEUE).thread_name("telemetry");
    let (writer, guard) = queue.finish(io::stderr());
    let dropped = Dropped(Some(writer.error_counter()));
    let format = resolve(settings.format, io::stderr().is_terminal());
    let subscriber = tracing_subscriber::registry()
        .with(layer(format, io::stderr().is_terminal(), writer).with_filter(filter(settings.level)));
    // Fails only where a subscriber is installed already, which then goes on.
    let _ = subscriber.try_init();
    Telemetry { dropped, _guard: guard }
}

/// The thread that writes. It ends with this.
pub struct Telemetry {
    dropped: Dropped,
    _guard: WorkerGuard,
}

impl Telemetry {
    /// Counts what nobody read in time.
    pub fn dropped(&self) -> Dropped {
        self.dropped.clone()
    }
}

/// How many lines were dropped. A cheap handle; the default one counts nothing.
#[derive(Clone, Default)]
pub struct Dropped(Option<ErrorCounter>);

impl Dropped {
    /// Lines dropped until now.
    pub fn lines(&self) -> u64 {
        self.0.as_ref().map_or(0, |counter| u64::try_from(counter.dropped_lines()).unwrap_or(u64::MAX))
    }
}

/// Whether `format` means text for people, given where it goes. The access log asks for its own output.
pub fn resolve(format: Format, terminal: bool) -> Format {
    match format {
        Format::Auto if terminal => Format::Text,
        Format::Auto => Format::Json,
        decided => decided,
    }
}

fn layer<S, W>(format: Format, colours: bool, writer: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    match format {
        Format::Text => fmt::layer().with_ansi(colours).with_writer(writer).boxed(),
        Format::Auto | Format::Json => {
            fmt::layer().json().flatten_event(true).with_current_span(false).with_writer(writer).boxed()
        }
    }
}

/// Libraries speak of connections and frames in every detail: below `trace` they are heard from `info` on.
fn filter(level: Level) -> Targets {
    let level = match level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
        Level::Trace => LevelFilter::TRACE,
    };
    let libraries = if level == LevelFilter::TRACE { level } else { level.min(LevelFilter::INFO) };
    Targets::new()
        .with_default(libraries)
        .with_target(env!("CARGO_CRATE_NAME"), level)
        // Each lost connection of the pool is a warning to it; what it means for anybody the feed and operations say.
        .with_target("deadpool", libraries.min(LevelFilter::ERROR))
}

/// Lines that wait to be written.
const QUEUE: usize = 4096;

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing::Level as Importance;

    use super::*;

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn said(format: Format, level: Level) -> String {
        let memory = Memory::default();
        let writer = memory.clone();
        let subscriber = tracing_subscriber::registry()
            .with(layer(format, false, move || writer.clone()).with_filter(filter(level)));
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(route.id = "orders", "Refused `{}`", "x");
            tracing::debug!("A detail");
        });
        let said = memory.0.lock().unwrap().clone();
        String::from_utf8(said).unwrap()
    }

    #[test]
    fn installing_twice_does_no_harm() {
        let settings = Settings { format: Format::Auto, level: Level::Error, access: false };
        let _first = install(&settings);
        let _second = install(&settings);
    }

    #[test]
    fn json_lines_carry_their_fields_at_the_top() {
        let lines = said(Format::Json, Level::Info);
        let line: serde_json::Value = serde_json::from_str(&lines).unwrap();
        assert_eq!(line["level"], "WARN");
        assert_eq!(line["message"], "Refused `x`");
        assert_eq!(line["route.id"], "orders");
    }

    #[test]
    fn text_lines_are_plain_where_there_is_no_terminal() {
        let lines = said(Format::Text, Level::Debug);
        assert!(lines.contains("WARN") && lines.contains("Refused `x` route.id=\"orders\""), "{lines}");
        assert!(lines.contains("A detail"), "{lines}");
        assert!(!lines.contains('\u{1b}'), "{lines}");
    }

    #[test]
    fn only_trace_hears_the_details_of_libraries() {
        assert!(filter(Level::Debug).would_enable("portcullis::server", &Importance::DEBUG));
        assert!(!filter(Level::Debug).would_enable("h2::codec", &Importance::DEBUG));
        assert!(filter(Level::Debug).would_enable("h2::codec", &Importance::INFO));
        assert!(filter(Level::Trace).would_enable("h2::codec", &Importance::TRACE));
        assert!(!filter(Level::Error).would_enable("h2::codec", &Importance::WARN));
    }

    #[test]
    fn auto_is_text_on_a_terminal_alone() {
        assert_eq!(resolve(Format::Auto, true), Format::Text);
        assert_eq!(resolve(Format::Auto, false), Format::Json);
        assert_eq!(resolve(Format::Text, false), Format::Text);
        assert_eq!(resolve(Format::Json, true), Format::Json);
    }
}
