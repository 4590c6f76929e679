//! Few requests for many registers.

use std::time::Duration;

use super::map::{Table, Tag};

/// What one request may ask for (MODBUS Application Protocol V1.1b3, 6.1 to 6.4).
const WORDS_MAX: u32 = 125;
const BITS_MAX: u32 = 2_000;
const BITS_PER_WORD: u32 = 16;

/// Tags that one request reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) unit: u8,
    pub(super) table: Table,
    pub(super) first: u16,
    pub(super) count: u16,
    pub(super) interval: Duration,
    /// Indexes of tags, by address.
    pub(super) tags: Vec<usize>,
    /// When it is read next, on the monotonic clock.
    pub(super) due: Duration,
}

/// Puts tags of one unit, table and interval into one request when they lie close together.
/// `gap_max` unused registers between two of them are read along.
pub(super) fn plan(tags: &[Tag], gap_max: u16, now: Duration) -> Vec<Group> {
    let mut indexes: Vec<usize> = (0..tags.len()).collect();
    let place = |tag: &Tag| (tag.unit, tag.table, tag.interval_ms);
    indexes.sort_by_key(|index| (place(&tags[*index]), tags[*index].address, *index));
    let mut groups: Vec<Group> = Vec::new();
    for index in indexes {
        let tag = &tags[index];
        let (start, end) = span(tag);
        let (most, gap_max) = if tag.table.is_bits() {
            (BITS_MAX, u32::from(gap_max) * BITS_PER_WORD)
        } else {
            (WORDS_MAX, u32::from(gap_max))
        };
        let joins = |group: &&mut Group| {
            let same = place(tag) == place(&tags[group.tags[0]]);
            let reach = u32::from(group.first) + u32::from(group.count);
            same && start <= reach + gap_max && end.max(reach) - u32::from(group.first) <= most
        };
        if let Some(group) = groups.last_mut().filter(joins) {
            let reach = u32::from(group.first) + u32::from(group.count);
            group.count = (end.max(reach) - u32::from(group.first)) as u16;
            group.tags.push(index);
            continue;
        }
        groups.push(Group {
            unit: tag.unit,
            table: tag.table,
            first: tag.address,
            count: (end - start) as u16,
            interval: Duration::from_millis(tag.interval_ms),
            tags: vec![index],
            due: now,
        });
    }
    groups
}

fn span(tag: &Tag) -> (u32, u32) {
    let start = u32::from(tag.address);
    (start, start + u32::from(tag.kind.words()))
}

impl Group {
    /// Two requests for the halves of its tags, to find those that the device does not have.
    /// `None` when there is only one.
    pub(super) fn halves(&self, tags: &[Tag]) -> Option<[Self; 2]> {
        if self.tags.len() < 2 {
            return None;
        }
        let (low, high) = self.tags.split_at(self.tags.len() / 2);
        let part = |indexes: &[usize]| {
            let start = indexes.iter().map(|index| span(&tags[*index]).0).min().unwrap_or(0);
            let end = indexes.iter().map(|index| span(&tags[*index]).1).max().unwrap_or(0);
            let (first, count) = (start as u16, (end - start) as u16);
            Self { first, count, tags: indexes.to_vec(), ..self.clone() }
        };
        Some([part(low), part(high)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modbus::map::{Kind, Order};
    use kernel::SensorKey;
    use proptest::prelude::*;

    fn tag(unit: u8, table: Table, address: u16, kind: Kind) -> Tag {
        Tag {
            sensor: SensorKey::new(&format!("a/{unit}/{address}")).unwrap(),
            unit,
            table,
            address,
            kind,
            order: Order::Abcd,
            scale: 1.0,
            offset: 0.0,
            unit_of_measure: None,
            interval_ms: 1_000,
            deadband: None,
        }
    }

    #[test]
    fn neighbours_share_a_request_and_strangers_do_not() {
        let holding = |unit, address| tag(unit, Table::Holding, address, Kind::F32);
        let tags = [
            holding(1, 10),
            holding(1, 0),
            holding(1, 2),
            holding(1, 200),
            holding(2, 0),
            tag(1, Table::Coil, 3, Kind::Bit(0)),
        ];
        let groups = plan(&tags, 8, Duration::ZERO);
        let shapes: Vec<_> =
            groups.iter().map(|g| (g.unit, g.table, g.first, g.count, g.tags.len())).collect();
        assert_eq!(
            shapes,
            [
                (1, Table::Holding, 0, 12, 3),
                (1, Table::Holding, 200, 2, 1),
                (1, Table::Coil, 3, 1, 1),
                (2, Table::Holding, 0, 2, 1),
            ]
        );
        let [low, high] = groups[0].halves(&tags).unwrap();
        assert_eq!((low.first, low.count, high.first, high.count), (0, 2, 2, 10));
        assert!(groups[1].halves(&tags).is_none());
    }

    proptest! {
        #[test]
        fn each_tag_is_read_once_within_the_limits(
            addresses in proptest::collection::vec((0_u16..2_000, 0..4_u8), 1..200),
            gap_max in 0_u16..20,
        ) {
            let kinds = [Kind::U16, Kind::F32, Kind::F64, Kind::Bit(3)];
            let tags: Vec<Tag> = addresses
                .iter()
                .map(|(address, kind)| tag(1, Table::Input, *address, kinds[usize::from(*kind)]))
                .collect();
            let groups = plan(&tags, gap_max, Duration::ZERO);
            let mut seen: Vec<usize> = groups.iter().flat_map(|group| group.tags.clone()).collect();
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..tags.len()).collect::<Vec<_>>());
            for group in &groups {
                prop_assert!(u32::from(group.count) <= WORDS_MAX);
                for index in &group.tags {
                    let (start, end) = span(&tags[*index]);
                    prop_assert!(start >= u32::from(group.first));
                    prop_assert!(end <= u32::from(group.first) + u32::from(group.count));
                }
            }
        }
    }
}
