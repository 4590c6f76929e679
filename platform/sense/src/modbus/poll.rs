//! The round of polls over one device, across connections.

use std::collections::HashMap;
use std::time::Duration;

use kernel::{Backoff, Quality, Reading, Reason, Timestamp};

use super::Modbus;
use super::line::{Line, LineError};
use super::map::Tag;
use super::plan::{Group, plan};
use crate::courier::Courier;

/// A value that stays as it is, or stays bad, is still said every so many polls.
const SAID_AGAIN: u32 = 10;
/// Requests that were split because of an exception are tried whole again after this time.
const REPLAN_AFTER: Duration = Duration::from_secs(600);
/// How long a unit is left alone that did not answer.
const UNIT_REST: Backoff = Backoff { first: Duration::from_secs(1), max: Duration::from_secs(30) };
/// Registers named in one complaint.
const NAMED_MAX: usize = 3;

/// What was last said of a tag.
#[derive(Clone, Copy, Debug, Default)]
struct Last {
    /// The last value that was good.
    value: Option<f64>,
    said: Option<(f64, Quality)>,
    polls_since: u32,
}

/// A unit that does not answer.
#[derive(Clone, Copy, Debug, Default)]
struct Rest {
    failures: u32,
    until: Duration,
}

/// Why and how a session ended.
pub(super) struct Lost {
    pub(super) error: LineError,
    pub(super) has_answered: bool,
}

pub(super) struct Poller<'a> {
    device: &'a Modbus,
    courier: Courier,
    groups: Vec<Group>,
    planned: Duration,
    last: Vec<Last>,
    rests: HashMap<u8, Rest>,
    exceptions: u64,
    late: u64,
}

/// What one round brought.
#[derive(Default)]
struct Round {
    readings: Vec<Reading>,
    refused: u64,
    complaints: Vec<String>,
}

impl<'a> Poller<'a> {
    pub(super) fn new(device: &'a Modbus, courier: Courier) -> Self {
        let now = device.clock.monotonic();
        let groups = plan(&device.tags, device.settings.gap_max, now);
        device.status.detail("time of a reading", "the poll's");
        Self {
            device,
            courier,
            groups,
            planned: now,
            last: vec![Last::default(); device.tags.len()],
            rests: HashMap::new(),
            exceptions: 0,
            late: 0,
        }
    }

    /// One link, until no unit answers on it any more.
    pub(super) async fn session(&mut self) -> Lost {
        let mut has_answered = false;
        let mut line = match self.open().await {
            Ok(line) => line,
            Err(error) => return Lost { error, has_answered },
        };
        self.rests.clear();
        loop {
            let now = self.device.clock.monotonic();
            if now.saturating_sub(self.planned) >= REPLAN_AFTER {
                self.groups = plan(&self.device.tags, self.device.settings.gap_max, now);
                self.planned = now;
            }
            let mut round = Round::default();
            let ended = self.round(&mut line, &mut round, &mut has_answered).await;
            self.settle(round);
            if let Err(error) = ended {
                return Lost { error, has_answered };
            }
            let due = self.groups.iter().map(|group| self.due(group)).min().unwrap_or_default();
            let pause = due.saturating_sub(self.device.clock.monotonic());
            tokio::time::sleep(pause).await;
        }
    }

    async fn open(&self) -> Result<Line, LineError> {
        let settings = &self.device.settings;
        let timeout = Duration::from_millis(settings.timeout_ms);
        Line::open(&settings.host, settings.port, timeout).await
    }

    fn due(&self, group: &Group) -> Duration {
        let rest = self.rests.get(&group.unit).map_or(Duration::ZERO, |rest| rest.until);
        group.due.max(rest)
    }

    /// Reads every group that is due.
    async fn round(
        &mut self,
        line: &mut Line,
        round: &mut Round,
        has_answered: &mut bool,
    ) -> Result<(), LineError> {
        let now = self.device.clock.monotonic();
        let (mut due, others): (Vec<Group>, Vec<Group>) =
            std::mem::take(&mut self.groups).into_iter().partition(|group| self.due(group) <= now);
        self.groups = others;
        due.reverse();
        while let Some(mut group) = due.pop() {
            // It may have gone to rest in this very round.
            if self.due(&group) > now {
                self.groups.push(group);
                continue;
            }
            match line.read(&group).await {
                Ok(words) => {
                    if !*has_answered {
                        *has_answered = true;
                        self.device.status.connected(self.device.clock.now());
                    }
                    self.rests.remove(&group.unit);
                    self.take(&group, &words, round);
                }
                Err(LineError::Exception(exception)) => {
                    if !*has_answered {
                        *has_answered = true;
                        self.device.status.connected(self.device.clock.now());
                    }
                    self.exceptions += 1;
                    let halves = group.halves(&self.device.tags);
                    if let Some([low, high]) = halves.filter(|_| exception.is_about_registers()) {
                        due.extend([high, low]);
                        continue;
                    }
                    if exception.is_about_unit() {
                        self.rest(group.unit);
                    }
                    let quality = Quality::Bad(Reason::Source);
                    self.fail(&group.tags, quality, &exception.to_string(), round);
                }
                Err(error) => {
                    let ended = self.lose(line, &group, error, round).await;
                    if ended.is_err() {
                        self.groups.push(group);
                        self.groups.append(&mut due);
                        return ended;
                    }
                }
            }
            self.schedule(&mut group);
            self.groups.push(group);
        }
        Ok(())
    }

    fn schedule(&mut self, group: &mut Group) {
        let now = self.device.clock.monotonic();
        group.due += group.interval;
        if group.due < now {
            self.late += 1;
            group.due = now;
        }
    }

    /// A unit that does not answer rests while others go on, on a new connection: an answer that
    /// comes late would be taken for another's. The link is lost when no unit is left.
    async fn lose(
        &mut self,
        line: &mut Line,
        group: &Group,
        error: LineError,
        round: &mut Round,
    ) -> Result<(), LineError> {
        let unit = group.unit;
        self.rest(unit);
        let now = self.device.clock.monotonic();
        let rests = |unit: u8| self.rests.get(&unit).is_some_and(|rest| rest.until > now);
        let is_timeout = matches!(error, LineError::Timeout(_));
        if !is_timeout || self.device.tags.iter().all(|tag| rests(tag.unit)) {
            return Err(error);
        }
        let tags = &self.device.tags;
        let theirs: Vec<usize> = (0..tags.len()).filter(|i| tags[*i].unit == unit).collect();
        self.fail(&theirs, Quality::Bad(Reason::Stale), &error.to_string(), round);
        *line = self.open().await?;
        Ok(())
    }

    fn rest(&mut self, unit: u8) {
        let now = self.device.clock.monotonic();
        let rest = self.rests.entry(unit).or_default();
        rest.failures = rest.failures.saturating_add(1);
        rest.until = now + UNIT_REST.pause(rest.failures, kernel::spread((unit, rest.failures)));
    }

    fn take(&mut self, group: &Group, words: &[u16], round: &mut Round) {
        let now = self.device.clock.now();
        for index in &group.tags {
            let tag = &self.device.tags[*index];
            let place = usize::from(tag.address - group.first);
            match words.get(place..).and_then(|words| tag.value(words)) {
                Some(value) => {
                    self.last[*index].value = Some(value);
                    self.say(*index, value, Quality::Good, now, round);
                }
                None => {
                    let quality = Quality::Bad(Reason::Source);
                    self.fail(&[*index], quality, "holds no number", round);
                }
            }
        }
    }

    /// Says of each tag that its last value is not to be believed any more.
    fn fail(&mut self, tags: &[usize], quality: Quality, reason: &str, round: &mut Round) {
        let now = self.device.clock.now();
        let named: Vec<String> =
            tags.iter().take(NAMED_MAX).map(|index| self.device.tags[*index].to_string()).collect();
        let more = if tags.len() > NAMED_MAX { " and others" } else { "" };
        round.complaints.push(format!("{}{more}: {reason}", named.join(", ")));
        for index in tags {
            match self.last[*index].value {
                Some(value) => self.say(*index, value, quality, now, round),
                // There is no value to give a bad quality to.
                None => round.refused += 1,
            }
        }
    }

    fn say(
        &mut self,
        index: usize,
        value: f64,
        quality: Quality,
        at: Timestamp,
        round: &mut Round,
    ) {
        let tag: &Tag = &self.device.tags[index];
        let last = &mut self.last[index];
        last.polls_since += 1;
        let is_old_news = last.said.is_some_and(|(before, was)| {
            let band = if quality.is_good() { tag.deadband } else { Some(0.0) };
            was == quality && band.is_some_and(|band| (value - before).abs() <= band)
        });
        if is_old_news && last.polls_since < SAID_AGAIN {
            return;
        }
        last.said = Some((value, quality));
        last.polls_since = 0;
        let unit = tag.unit_of_measure.clone();
        round.readings.push(Reading { sensor: tag.sensor.clone(), at, value, quality, unit });
    }

    /// What is kept of every register is old now.
    pub(super) fn mark_all_stale(&mut self) {
        let now = self.device.clock.now();
        let mut round = Round::default();
        for index in 0..self.last.len() {
            let Last { value, said, .. } = self.last[index];
            let was_good = said.is_some_and(|(_, quality)| quality.is_good());
            if let (Some(value), true) = (value, was_good) {
                self.say(index, value, Quality::Bad(Reason::Stale), now, &mut round);
            }
        }
        self.courier.send(round.readings, 0);
    }

    fn settle(&mut self, round: Round) {
        let status = &self.device.status;
        if let Some(complaint) = round.complaints.first() {
            status.trouble(complaint, self.device.clock.now());
        }
        status.detail("requests per round", self.groups.len().to_string());
        status.detail("exceptions", self.exceptions.to_string());
        status.detail("polls late", self.late.to_string());
        let resting: Vec<String> = self.rests.keys().map(u8::to_string).collect();
        status.detail("units that do not answer", resting.join(", "));
        self.courier.send(round.readings, round.refused);
    }
}
