//! The status in words, for a person.

use std::time::{Duration, UNIX_EPOCH};

use icewell::{Count, Incomplete};
use indicatif::HumanDuration;

use super::served_by::Daemon;
use super::{Files, Found, Status};
use crate::commands::plain;
use crate::commands::running::seen::{Forecast, Seen};
use crate::failure::Failure;
use crate::output::{ago, count, escape, field, size};

/// In seconds.
const DAY: f64 = 86_400.0;

/// All of it: first whether it is well, then what there is, how full it is, what goes next, and the daemon.
pub(super) fn describe(status: &Status<'_>, found: &Found, daemon: &Result<Daemon, Failure>) -> String {
    let Status { images, incomplete, invalid, limit, file_system, .. } = status;
    let mut text = String::new();
    field(&mut text, "directory", &status.dir);
    field(&mut text, "origin", status.origin.as_deref().unwrap_or("none yet"));
    health(&mut text, status, daemon.is_ok());
    let allocated = size(images.files.allocated);
    let cached = format!("{}, {} on disk, {} pinned", files(&images.files), allocated, images.pinned);
    field(&mut text, "cached", cached);
    field(&mut text, "hits", images.hits);
    field(&mut text, "incomplete", format_args!("{}, {} under way", files(&incomplete.files), incomplete.active));
    for fill in found.fills.iter().filter(|fill| fill.active) {
        text.push_str(&format!("  {}: {}\n", plain(&fill.id), progress(fill)));
    }
    field(&mut text, "invalid", files(invalid));
    if let Some(last) = found.invalid.iter().max_by_key(|failed| failed.last_modified) {
        let why = escape(last.error.as_deref().unwrap_or("unknown why"));
        text.push_str(&format!("  {}, {}: {why}\n", plain(&last.id), ago(last.last_modified)));
    }
    field(&mut text, "queued", status.queued);
    let what = match found.counted {
        Count::Size => "sizes",
        Count::Allocated => "bytes allocated on disk",
    };
    let share = percent(limit.used, limit.max_size).map(|share| format!(" ({share})")).unwrap_or_default();
    let (used, max_size) = (size(limit.used), size(limit.max_size));
    field(&mut text, "limit", format_args!("{used} of {max_size} used{share}, counting {what}"));
    if let Some(min_free) = &limit.min_free {
        let floor = size(limit.floor);
        let told = if min_free.ends_with('%') { format!("{min_free}, {floor}") } else { floor };
        field(&mut text, "min free", format_args!("{told} of the file system"));
    }
    let (available, total) = (size(file_system.available), size(file_system.total));
    field(&mut text, "file system", format_args!("{}, {available} of {total} free", file_system.name));
    if let Some(when) = daemon.as_ref().ok().and_then(|daemon| full(&daemon.seen.forecast)) {
        field(&mut text, "full", when);
    }
    field(&mut text, "next to go", next(status, found));
    match daemon {
        Ok(daemon) => served_by(&mut text, daemon),
        Err(why) => field(&mut text, "daemon", format_args!("none seen: {why}")),
    }
    text
}

fn health(text: &mut String, status: &Status<'_>, by_daemon: bool) {
    if status.health.is_empty() {
        // A daemon that is down, or cannot reach its origin, leaves no trace in the directory.
        field(text, "health", if by_daemon { "good" } else { "good, as far as the directory tells" });
    }
    for (number, note) in status.health.iter().enumerate() {
        let told = format!("{}: {}", note.level.to_uppercase(), note.text);
        if number == 0 {
            field(text, "health", told);
        } else {
            text.push_str(&format!("{:14} {}\n", "", escape(&told)));
        }
    }
}

/// When there will be no room left, as the daemon expects it.
fn full(forecast: &Forecast) -> Option<String> {
    match forecast.state.as_str() {
        "full" => Some("now: what comes takes the place of what was not used for longest".into()),
        "steady" => Some("not soon: it does not grow".into()),
        "growing" => {
            let rate = size(forecast.bytes_per_second.max(0.0) as u64);
            Some(format!("in {}, if it goes on to grow by {rate}/s", span(forecast.seconds)))
        }
        // Too early to tell.
        _ => None,
    }
}

fn next(status: &Status<'_>, found: &Found) -> String {
    let broken_off = found.fills.iter().filter(|fill| !fill.active).count() + found.invalid.len();
    let first = count(broken_off as u64, "fill", "fills");
    let image = found
        .next
        .as_ref()
        .map(|image| format!("{}, {}, last used {}", image.id, size(image.size), ago(image.last_accessed)));
    match (broken_off, image) {
        (0, Some(image)) => image,
        (0, None) if status.images.pinned > 0 => "nothing: what is cached is pinned".into(),
        (0, None) => "nothing".into(),
        (_, None) => format!("{first} broken off or failed"),
        (_, Some(image)) => format!("{first} broken off or failed; then {image}"),
    }
}

fn served_by(text: &mut String, Daemon { address, seen, .. }: &Daemon) {
    let started = UNIX_EPOCH.checked_add(Duration::try_from_secs_f64(seen.started).unwrap_or_default());
    let since = started.map(|at| format!(" since {}", humantime::format_rfc3339_seconds(at))).unwrap_or_default();
    let up = span(seen.uptime);
    field(text, "daemon", format_args!("{} at http://{address}/, up{since} ({up})", seen.version));
    field(text, "  requests", seen.counters.hits());
    let (sent, filled) = (size(seen.counters.sent_bytes), size(seen.counters.filled_bytes));
    field(text, "  traffic", format_args!("{sent} to clients, {filled} from the origin"));
    let clients = seen.fills.iter().fold(0, |clients: u64, fill| clients.saturating_add(fill.clients));
    let fetched = count(seen.fills.len() as u64, "image", "images");
    field(text, "  fetching", format_args!("{fetched} for {}", count(clients, "client", "clients")));
    field(text, "  failure", failure(seen));
    field(text, "  scrub", scrub(seen));
}

fn failure(seen: &Seen) -> String {
    let Some(failed) = seen.failures.first() else { return "none since the start".into() };
    let times = if failed.times > 1 { format!(" ({} times)", failed.times) } else { String::new() };
    format!("{} ago, {}: {}{times}: {}", span(seen.now - failed.at), failed.image_id, failed.kind, failed.reason)
}

fn scrub(seen: &Seen) -> String {
    let scrub = &seen.scrub;
    if scrub.every <= 0.0 {
        return "off".into();
    }
    // In days as it is set, not in what is nearest of weeks or months.
    let days = scrub.every / DAY;
    let every = if days >= 1.0 { count(days as u64, "day", "days") } else { span(scrub.every) };
    let due = count(scrub.due, "image", "images");
    format!("each image in {every}; {due} due, {} sound and {} corrupt since the start", scrub.sound, scrub.corrupt)
}

fn span(seconds: f64) -> String {
    HumanDuration(Duration::try_from_secs_f64(seconds).unwrap_or_default()).to_string()
}

fn files(files: &Files) -> String {
    format!("{}, {}", count(files.count, "image", "images"), size(files.size))
}

fn percent(part: u64, whole: u64) -> Option<String> {
    let percent = (u128::from(part) * 100).checked_div(u128::from(whole))?;
    Some(format!("{percent} %"))
}

fn progress(fill: &Incomplete) -> String {
    let (written, last) = (size(fill.written), ago(fill.last_modified));
    let of = fill.size.and_then(|whole| Some(format!(" of {} ({})", size(whole), percent(fill.written, whole)?)));
    format!("{written}{}, last written {last}", of.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn when_it_will_be_full_is_told_as_the_daemon_expects_it() {
        for (told, line) in [
            (r#"{"state": "full"}"#, Some("now: what comes takes the place of what was not used for longest")),
            (r#"{"state": "steady"}"#, Some("not soon: it does not grow")),
            (
                r#"{"state": "growing", "bytes_per_second": 2048.0, "seconds": 172800.5}"#,
                Some("in 2 days, if it goes on to grow by 2.00 KiB/s"),
            ),
            (r#"{"state": "unknown"}"#, None),
            (r#"{}"#, None),
        ] {
            let forecast = serde_json::from_str(told).unwrap();
            assert_eq!(full(&forecast).as_deref(), line, "{told}");
        }
    }
}
