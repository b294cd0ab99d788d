//! What is shown, line by line: made of what the daemon told now and the last time, and of nothing else.

use std::time::Duration;

use indicatif::HumanDuration;

use crate::commands::running::seen::{Fill, Seen};
use crate::output::{count, escape, size};

/// How many of each list are shown.
const LISTED: usize = 8;
/// How wide a bar is.
const BAR: usize = 24;

/// The last looks at a daemon.
#[derive(Debug)]
pub(super) struct Screen {
    now: Seen,
    before: Option<Seen>,
    /// Why there is no newer look.
    no_answer: Option<String>,
}

impl Screen {
    pub(super) fn of(now: Seen) -> Self {
        Screen { now, before: None, no_answer: None }
    }

    /// A newer look.
    pub(super) fn next(&mut self, now: Seen) {
        // Two looks at the same moment tell no rate.
        if now.now > self.now.now {
            self.before = Some(std::mem::replace(&mut self.now, now));
        }
        self.no_answer = None;
    }

    /// There was no newer look.
    pub(super) fn no_answer(&mut self, why: String) {
        self.no_answer = Some(why);
    }

    /// All of it as text.
    pub(super) fn text(&self) -> String {
        self.lines().iter().map(|line| format!("{line}\n")).collect()
    }

    /// The lines, the first of them the heading.
    pub(super) fn lines(&self) -> Vec<String> {
        let now = &self.now;
        let mut lines = vec![format!(
            "icewell {}  {}  up {}  q: quit",
            escape(&now.version),
            escape(&now.dir),
            HumanDuration(Duration::from_secs_f64(now.uptime.max(0.0)))
        )];
        let mut field = |name: &str, value: String| lines.push(format!("{name:9} {value}"));
        field("origin", escape(&now.origin));
        match &self.no_answer {
            Some(why) => field("health", format!("NO ANSWER: {}", escape(why))),
            None if now.notes.is_empty() => field("health", "good".into()),
            None => {}
        }
        if self.no_answer.is_none() {
            for (number, note) in now.notes.iter().enumerate() {
                let name = if number == 0 { "health" } else { "" };
                field(name, format!("{}: {}", escape(&note.level).to_uppercase(), escape(&note.text)));
            }
        }
        field("hits", now.counters.hits());
        field("traffic", self.traffic());
        field("room", self.room());
        if now.queue_length > 0 {
            let first: Vec<_> = now.queue.iter().take(3).map(|queued| escape(&queued.image_id)).collect();
            let more = if now.queue_length as usize > first.len() { ", …" } else { "" };
            field("queue", format!("{}: {}{more}", now.queue_length, first.join(", ")));
        }
        section(&mut lines, "FILLS", now.fills.iter().map(fill).collect());
        let ago = |at: f64| format!("{} ago", HumanDuration(Duration::from_secs_f64((now.now - at).max(0.0))));
        let failures = now.failures.iter().map(|failed| {
            let times = if failed.times > 1 { format!(" ({} times)", failed.times) } else { String::new() };
            format!(
                "{:16} {}: {}{times}: {}",
                ago(failed.at),
                escape(&failed.image_id),
                escape(&failed.kind),
                escape(&failed.reason)
            )
        });
        section(&mut lines, "RECENT FAILURES", failures.collect());
        let next = now.next.iter().map(|next| {
            let hits = count(next.hits, "hit", "hits");
            format!("{:16} {}: {}, {hits}", ago(next.last_accessed), escape(&next.image_id), size(next.size))
        });
        section(&mut lines, "NEXT TO GO WHEN ROOM IS NEEDED, BY LAST USE", next.collect());
        lines
    }

    fn traffic(&self) -> String {
        let counters = &self.now.counters;
        let rate = |of: fn(&Seen) -> u64| {
            let before = self.before.as_ref()?;
            let bytes = of(&self.now).checked_sub(of(before))?;
            Some(format!("{}/s", size((bytes as f64 / (self.now.now - before.now)) as u64)))
        };
        let told = |rate: Option<String>| rate.unwrap_or_else(|| "-".into());
        format!(
            "{} to clients, {} from the origin; {} and {} since the start",
            told(rate(|seen| seen.counters.sent_bytes)),
            told(rate(|seen| seen.counters.filled_bytes)),
            size(counters.sent_bytes),
            size(counters.filled_bytes)
        )
    }

    fn room(&self) -> String {
        let Seen { limit, images, file_system, .. } = &self.now;
        format!(
            "{} {} of {} used by {}; {} of {} free on the file system, {} are to stay so",
            bar(limit.used, limit.max_size),
            size(limit.used),
            size(limit.max_size),
            count(images.count, "image", "images"),
            size(file_system.available),
            size(file_system.total),
            size(limit.min_free)
        )
    }
}

fn section(lines: &mut Vec<String>, heading: &str, rows: Vec<String>) {
    if rows.is_empty() {
        return;
    }
    lines.push(String::new());
    lines.push(heading.into());
    let more = rows.len().saturating_sub(LISTED);
    lines.extend(rows.into_iter().take(LISTED));
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
}

fn fill(fill: &Fill) -> String {
    let clients = count(fill.clients, "client", "clients");
    let name = escape(fill.name.as_deref().unwrap_or(&fill.image_id));
    let rate = size(fill.rate.max(0.0) as u64);
    let progress = match fill.size {
        Some(whole) => format!("{} {} of {}", bar(fill.written, whole), size(fill.written), size(whole)),
        None => size(fill.written),
    };
    format!("{progress}  {rate}/s  {clients}  {}  {name}", escape(&fill.state))
}

/// `[=====>     ] 45 %`.
fn bar(part: u64, whole: u64) -> String {
    let of = |steps: u64| (u128::from(part) * u128::from(steps)).checked_div(u128::from(whole)).unwrap_or(0) as usize;
    let full = of(BAR as u64).min(BAR);
    format!("[{:BAR$}] {} %", "=".repeat(full), of(100))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(at: f64, sent: u64) -> Seen {
        Seen::read(
            format!(
                r#"{{"version": "1", "now": {at}, "uptime": 60, "dir": "/d", "origin": "o\u001b[2J",
                "counters": {{"requests": 9, "from_cache": 6, "from_fill": 1, "passed": 1, "sent_bytes": {sent}}},
                "limit": {{"max_size": 100, "used": 50}}, "images": {{"count": 1}},
                "fills": [{{"image_id": "a", "state": "filling", "size": 200, "written": 50, "rate": 1.5, "clients": 2}}],
                "notes": [{{"level": "bad", "text": "Oh."}}, {{"level": "warning", "text": "Hm."}}],
                "queue_length": 4, "queue": [{{"image_id": "q1"}}, {{"image_id": "q2"}}],
                "failures": [{{"at": {at}, "image_id": "f", "kind": "origin", "reason": "gone", "times": 2}}],
                "something_new": [1]}}"#
            )
            .as_bytes(),
        )
        .unwrap()
    }

    #[test]
    fn what_is_shown() {
        let mut screen = Screen::of(seen(1000.0, 100));
        assert!(screen.text().contains("traffic   - to clients"), "{}", screen.text());
        screen.next(seen(1002.0, 2148));
        let text = screen.text();
        for line in [
            "origin    o\\u{1b}[2J\n",
            "health    BAD: Oh.\n          WARNING: Hm.\n",
            "hits      75.0 % from the cache: 6 of 8 requests, 1 from fills, 1 passed on; 9 in all\n",
            "traffic   1.00 KiB/s to clients, 0 B/s from the origin; 2.10 KiB and 0 B since the start\n",
            "room      [============            ] 50 % 50 B of 100 B used by 1 image;",
            "queue     4: q1, q2, …\n",
            "FILLS\n[======                  ] 25 % 50 B of 200 B  1 B/s  2 clients  filling  a\n",
            "f: origin (2 times): gone\n",
        ] {
            assert!(text.contains(line), "{line:?} in\n{text}");
        }
    }

    #[test]
    fn a_daemon_that_was_started_anew_or_is_gone_tells_no_rate() {
        let mut screen = Screen::of(seen(1000.0, 100));
        screen.next(seen(1002.0, 50));
        assert!(screen.text().contains("traffic   - to clients"), "{}", screen.text());
        screen.no_answer("gone".into());
        assert!(screen.text().contains("health    NO ANSWER: gone\n"), "{}", screen.text());
        assert!(!screen.text().contains("Oh."));
    }

    #[test]
    fn bars_of_nothing_and_of_too_much() {
        assert_eq!(bar(1, 0), format!("[{}] 0 %", " ".repeat(BAR)));
        assert_eq!(bar(u64::MAX, 1).matches('=').count(), BAR);
    }
}
