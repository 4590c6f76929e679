//! From looked-up readings to a durable batch: what every door ends in.

use std::collections::HashSet;
use std::sync::atomic::Ordering;

use kernel::{CorrelationId, Quality, Reading, Timestamp};
use sense::line::{self, KnownRows, Precision};
use sense::{Delivery, Origin, Receipt, Rows, SourceId};
use store::series::{Batch, Point, SeriesId};

use super::Telemetry;
use super::counters::add;
use super::registry::{Entry, Now, class_index, is_present};
use crate::error::TelemetryError;
use crate::model::Sensor;
use crate::sense::{Fault, Known, Seen, Valid, judge};

/// A delivery without its readings.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub source: SourceId,
    pub origin: Origin,
    pub correlation: Option<CorrelationId>,
    pub received: Timestamp,
}

impl Head {
    pub(crate) fn of(delivery: &Delivery) -> Self {
        Self {
            source: delivery.source.clone(),
            origin: delivery.origin,
            correlation: delivery.correlation,
            received: delivery.received,
        }
    }

    fn with(self, readings: Vec<Reading>) -> Delivery {
        let Self { source, origin, correlation, received } = self;
        Delivery { source, origin, correlation, received, readings }
    }
}

/// A batch in the making, and what follows from it once it is durable.
pub(crate) struct Intake {
    origin: Origin,
    received: Timestamp,
    /// Tells this delivery from the others that touch the same sensors.
    number: u64,
    batch: Batch,
    /// The newest reading of each sensor in the batch.
    newest: Vec<(SeriesId, Point)>,
    by_quality: [u64; 3],
    duplicates: u64,
}

impl Intake {
    /// The newest event time in it.
    pub(crate) fn newest_at(&self) -> Option<Timestamp> {
        self.newest.iter().map(|(_, point)| point.at).max()
    }

    /// Judges one reading of a registered sensor and keeps it, unless something is wrong with it.
    pub(crate) fn offer(
        &mut self,
        entry: &Entry,
        judge: impl FnOnce(&Known, Option<Seen>, Timestamp) -> Result<Valid, Fault>,
    ) -> Result<(), Fault> {
        fits_origin(&entry.sensor, self.origin)?;
        entry.with_now(|now| {
            let valid = judge(&entry.known, now.seen, self.received)?;
            self.keep(entry.id, now, valid);
            Ok(())
        })
    }

    /// Judges readings of a registered sensor, each with the number it has for its sender, and keeps
    /// those that nothing is wrong with.
    fn offer_all(
        &mut self,
        entry: &Entry,
        points: impl Iterator<Item = (u32, Point)>,
        mut refuse: impl FnMut(u32, Fault),
    ) {
        let Err(fault) = fits_origin(&entry.sensor, self.origin) else {
            entry.with_now(|now| {
                for (number, point) in points {
                    match judge(point, &entry.known, now.seen, self.received) {
                        Ok(valid) => self.keep(entry.id, now, valid),
                        Err(fault) => refuse(number, fault),
                    }
                }
            });
            return;
        };
        points.for_each(|(number, _)| refuse(number, fault.clone()));
    }

    fn keep(&mut self, id: SeriesId, now: &mut Now, valid: Valid) {
        let Valid { point, duplicate } = valid;
        if now.seen.is_none_or(|seen| seen.at <= point.at) {
            now.seen = Some(Seen { at: point.at, value: point.value });
        }
        if now.delivery.0 != self.number {
            now.delivery = (self.number, self.newest.len());
            self.newest.push((id, point));
        } else if let Some((_, newest)) = self.newest.get_mut(now.delivery.1)
            && (newest.at <= point.at && is_present(point) || !is_present(*newest))
        {
            *newest = point;
        }
        self.duplicates += u64::from(duplicate);
        self.by_quality[class_index(point.quality)] += 1;
        self.batch.push(id, point);
    }
}

impl Telemetry {
    pub(crate) fn intake(&self, head: &Head, readings: usize) -> Intake {
        let batch = Batch {
            received: head.received,
            correlation: head.correlation,
            series: Vec::with_capacity(readings),
            at: Vec::with_capacity(readings),
            value: Vec::with_capacity(readings),
            quality: Vec::with_capacity(readings),
        };
        Intake {
            origin: head.origin,
            received: head.received,
            number: 1 + self.counters.intakes.fetch_add(1, Ordering::Relaxed),
            batch,
            newest: Vec::new(),
            by_quality: [0; 3],
            duplicates: 0,
        }
    }

    /// Makes the batch durable; how many readings that were, and where they are in the log.
    pub(crate) async fn store(
        &self,
        intake: Intake,
    ) -> Result<(usize, Option<u64>), TelemetryError> {
        let accepted = intake.batch.len();
        add(&self.counters.duplicates, intake.duplicates);
        if accepted == 0 {
            return Ok((0, None));
        }
        let offset = self.series.append(intake.batch).await?;
        self.registry.stored(&intake.newest, intake.received);
        for (counter, count) in self.counters.by_quality.iter().zip(intake.by_quality) {
            add(counter, count);
        }
        add(&self.counters.accepted, accepted as u64);
        add(&self.counters.batches, 1);
        self.counters.arrived(self.clock.now(), accepted as u64);
        metrics::counter!("plainview_readings_accepted_total").increment(accepted as u64);
        Ok((accepted, Some(offset.0)))
    }

    /// Takes a body of lines: those of known series column by column, the others one by one. The
    /// rows tell what was refused.
    pub(crate) async fn take_lines(
        &self,
        body: &[u8],
        precision: Precision,
        head: Head,
    ) -> Result<(Rows, Receipt), TelemetryError> {
        self.ensure_loaded().await?;
        let (known, rest) = {
            let lines = self.lines.read().unwrap_or_else(std::sync::PoisonError::into_inner);
            lines.read(body, precision, head.received)
        };
        if rest.is_empty() {
            return self.take_known(&known, head, Rows::default()).await;
        }
        let mapping = &self.settings.mapping;
        let mut read = line::parse_lines(rest.iter().copied(), precision, mapping, head.received);
        let apart = !self.share_a_sensor(&known, &read.0.readings);
        if !apart {
            let lines = body.split(|byte| *byte == b'\n').enumerate();
            let lines = lines.map(|(index, line)| (index + 1, line.trim_ascii()));
            read = line::parse_lines(lines, precision, mapping, head.received);
        }
        let (mut rows, written) = read;
        let delivery = head.clone().with(std::mem::take(&mut rows.readings));
        let is_new = |row: &usize| rest.binary_search_by_key(row, |(number, _)| *number).is_ok();
        let fresh = delivery.readings.iter().zip(&rows.rows).zip(&written);
        let fresh: Vec<_> = fresh
            .filter(|((_, row), (series, _))| is_new(row) && !series.is_empty())
            .map(|((reading, _), written)| (reading.sensor.clone(), *written))
            .collect();
        let receipt = self.take(delivery, &[]).await?;
        self.learn(&fresh);
        if !apart {
            return Ok((rows, receipt));
        }
        let (rows, rest) = self.take_known(&known, head, rows).await?;
        let accepted = receipt.accepted + rest.accepted;
        Ok((rows, Receipt { accepted, offset: rest.offset.or(receipt.offset), ..receipt }))
    }

    /// Whether a sensor stands in both: then the order of the lines decides which of two readings
    /// of one time is the last, and they must be read in one way.
    fn share_a_sensor(&self, known: &KnownRows, others: &[Reading]) -> bool {
        if known.handle.is_empty() {
            return false;
        }
        let others = self.registry.find(others.iter().map(|reading| &reading.sensor));
        let others: HashSet<u32> = others.iter().flatten().map(|entry| entry.id.0).collect();
        !others.is_empty() && known.handle.iter().any(|handle| others.contains(handle))
    }

    async fn take_known(
        &self,
        known: &KnownRows,
        head: Head,
        mut rows: Rows,
    ) -> Result<(Rows, Receipt), TelemetryError> {
        let refused_before = rows.refused_total;
        let mut intake = self.intake(&head, known.at.len());
        // Sensor by sensor, each in the order of its lines: so they are judged, kept and sealed.
        let order = known.by_handle();
        let handle = |row: &u32| known.handle[*row as usize];
        let mut refused = Vec::new();
        self.registry.with_ids(|by_id| {
            for run in order.chunk_by(|a, b| handle(a) == handle(b)) {
                let points = run.iter().map(|row| (*row, point(known, *row)));
                match by_id.get(handle(&run[0]) as usize) {
                    Some(Some(entry)) => {
                        intake.offer_all(entry, points, |row, fault| refused.push((row, fault)));
                    }
                    _ => refused.extend(points.map(|(row, _)| (row, unregistered()))),
                }
            }
        });
        refused.sort_by_key(|(row, _)| *row);
        for (row, Fault { field, reason }) in refused {
            let field = if field == "at" { "timestamp" } else { field };
            rows.refuse(known.line[row as usize] as usize, field, reason);
        }
        let newest_at = intake.newest_at();
        let (accepted, offset) = self.store(intake).await?;
        let refused = rows.refused_total - refused_before;
        self.sources.heard(&head.source, head.received, (accepted, refused), newest_at);
        Ok((rows, Receipt { accepted, refused: Vec::new(), offset }))
    }

    /// Remembers how these sensors are written.
    fn learn(&self, fresh: &[(kernel::SensorKey, line::Written<'_>)]) {
        if fresh.is_empty() {
            return;
        }
        let entries = self.registry.find(fresh.iter().map(|(key, _)| key));
        let mut lines = self.lines.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        for (entry, (_, (series, field))) in entries.iter().zip(fresh) {
            if let Some(entry) = entry {
                lines.learn(series, field, entry.id.0);
            }
        }
    }
}

fn point(known: &KnownRows, row: u32) -> Point {
    let row = row as usize;
    Point {
        at: Timestamp::from_micros(known.at[row]),
        value: known.value[row],
        quality: Quality::Good,
    }
}

fn unregistered() -> Fault {
    Fault { field: "sensor", reason: "it is not registered".to_owned() }
}

/// What a simulation says must not be mixed into what a plant says.
fn fits_origin(sensor: &Sensor, origin: Origin) -> Result<(), Fault> {
    if sensor.origin == Origin::Real && origin == Origin::Simulated {
        return Err(Fault {
            field: "sensor",
            reason: format!("`{}` is a real sensor; simulated readings are not taken", sensor.key),
        });
    }
    Ok(())
}
