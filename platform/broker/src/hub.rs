//! Who is connected, who wants to hear what, and what is kept for those who come later.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use bytes::Bytes;
use rumqttc::mqttbytes::{matches, valid_filter};
use sense::SourceStatus;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::Client;
use crate::codec::{Answer, Denied, Letter, Wish};

/// Subscriptions of one client.
const SUBSCRIPTIONS_MAX: usize = 100;
const FILTER_BYTES_MAX: usize = 1_024;
/// Retained messages, and the bytes of all of them.
const RETAINED_MAX: usize = 10_000;
const RETAINED_BYTES_MAX: usize = 16 * 1024 * 1024;
const SPARKPLUG: &str = "spBv1.0";

/// One client's connection, as the others see it.
struct Peer {
    number: u64,
    letters: mpsc::Sender<Answer>,
    wishes: Vec<Wish>,
    taken_over: CancellationToken,
}

/// The same user under the same client id is the same client.
pub(crate) type PeerId = (String, String);

#[derive(Default)]
struct Retained {
    letters: BTreeMap<Bytes, Bytes>,
    bytes: usize,
}

#[derive(Default)]
pub(crate) struct Hub {
    peers: RwLock<HashMap<PeerId, Peer>>,
    subscriptions: AtomicUsize,
    retained: Mutex<Retained>,
    numbers: AtomicU64,
    pub(crate) turned_away: AtomicU64,
    pub(crate) logins_refused: AtomicU64,
    pub(crate) not_allowed: AtomicU64,
    /// Messages that a subscriber was too slow for.
    passed_over: AtomicU64,
    not_retained: AtomicU64,
}

impl Hub {
    /// A client is there; the number of its connection. An older connection of it ends.
    pub(crate) fn join(
        &self,
        id: &PeerId,
        letters: mpsc::Sender<Answer>,
        taken_over: CancellationToken,
    ) -> u64 {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let peer = Peer { number, letters, wishes: Vec::new(), taken_over };
        let mut peers = self.peers.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(older) = peers.insert(id.clone(), peer) {
            self.subscriptions.fetch_sub(older.wishes.len(), Ordering::Relaxed);
            older.taken_over.cancel();
        }
        number
    }

    pub(crate) fn leave(&self, id: &PeerId, number: u64) {
        let mut peers = self.peers.write().unwrap_or_else(PoisonError::into_inner);
        if peers.get(id).is_some_and(|peer| peer.number == number)
            && let Some(peer) = peers.remove(id)
        {
            self.subscriptions.fetch_sub(peer.wishes.len(), Ordering::Relaxed);
        }
    }

    /// Takes a client's wishes; for each whether it is granted, and what is kept for it.
    pub(crate) fn subscribe(
        &self,
        id: &PeerId,
        client: &Client,
        wishes: Vec<Wish>,
    ) -> (Vec<Result<(), Denied>>, Vec<Letter>) {
        let mut kept = Vec::new();
        let mut grants = Vec::with_capacity(wishes.len());
        for wish in wishes {
            let granted = may_hear(client, &wish.filter);
            let granted = granted.and_then(|()| {
                let letters = if wish.retained { self.kept(&wish.filter) } else { Vec::new() };
                self.add(id, wish).map(|()| kept.extend(letters))
            });
            grants.push(granted);
        }
        (grants, kept)
    }

    fn add(&self, id: &PeerId, wish: Wish) -> Result<(), Denied> {
        let mut peers = self.peers.write().unwrap_or_else(PoisonError::into_inner);
        let peer = peers.get_mut(id).ok_or(Denied::Invalid)?;
        if let Some(same) = peer.wishes.iter_mut().find(|same| same.filter == wish.filter) {
            *same = wish;
        } else if peer.wishes.len() < SUBSCRIPTIONS_MAX {
            peer.wishes.push(wish);
            self.subscriptions.fetch_add(1, Ordering::Relaxed);
        } else {
            return Err(Denied::TooMany);
        }
        Ok(())
    }

    pub(crate) fn unsubscribe(&self, id: &PeerId, filters: &[String]) {
        let mut peers = self.peers.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(peer) = peers.get_mut(id) {
            let before = peer.wishes.len();
            peer.wishes.retain(|wish| !filters.contains(&wish.filter));
            self.subscriptions.fetch_sub(before - peer.wishes.len(), Ordering::Relaxed);
        }
    }

    /// Passes a message on; true when somebody wanted it. `from` is the sender's connection.
    pub(crate) fn pass_on(&self, letter: &Letter, from: u64) -> bool {
        if letter.retain {
            self.keep(letter);
        }
        if self.subscriptions.load(Ordering::Relaxed) == 0 {
            return false;
        }
        let Ok(topic) = std::str::from_utf8(&letter.topic) else { return false };
        let mut heard = false;
        let peers = self.peers.read().unwrap_or_else(PoisonError::into_inner);
        for peer in peers.values() {
            let own = peer.number == from;
            let wanted = |wish: &&Wish| !(own && wish.no_local) && matches(topic, &wish.filter);
            if peer.wishes.iter().find(wanted).is_none() {
                continue;
            }
            heard = true;
            let live = Letter { retain: false, packet_id: 0, ..letter.clone() };
            if peer.letters.try_send(Answer::Letter(live)).is_err() {
                self.passed_over.fetch_add(1, Ordering::Relaxed);
            }
        }
        heard
    }

    fn retained(&self) -> MutexGuard<'_, Retained> {
        self.retained.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the last message of a topic; an empty one forgets it.
    fn keep(&self, letter: &Letter) {
        let mut retained = self.retained();
        if let Some(before) = retained.letters.remove(&letter.topic) {
            retained.bytes -= letter.topic.len() + before.len();
        }
        if letter.payload.is_empty() {
            return;
        }
        let bytes = letter.topic.len() + letter.payload.len();
        let full =
            retained.letters.len() >= RETAINED_MAX || retained.bytes + bytes > RETAINED_BYTES_MAX;
        if full {
            self.not_retained.fetch_add(1, Ordering::Relaxed);
            return;
        }
        retained.bytes += bytes;
        // Slices of a packet would keep the whole packet in memory.
        let topic = Bytes::copy_from_slice(&letter.topic);
        retained.letters.insert(topic, Bytes::copy_from_slice(&letter.payload));
    }

    fn kept(&self, filter: &str) -> Vec<Letter> {
        let wanted =
            |topic: &Bytes| std::str::from_utf8(topic).is_ok_and(|topic| matches(topic, filter));
        let retained = self.retained();
        let letters = retained.letters.iter().filter(|(topic, _)| wanted(topic));
        letters
            .map(|(topic, payload)| Letter {
                topic: topic.clone(),
                payload: payload.clone(),
                qos: rumqttc::mqttbytes::QoS::AtMostOnce,
                retain: true,
                packet_id: 0,
            })
            .collect()
    }

    /// Shows how it stands.
    pub(crate) fn tell(&self, status: &SourceStatus, connections: usize, connections_max: usize) {
        let clients = self.peers.read().unwrap_or_else(PoisonError::into_inner).len();
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed).to_string();
        status.detail("clients", clients.to_string());
        status.detail("connections", format!("{connections} of {connections_max}"));
        status.detail("subscriptions", self.subscriptions.load(Ordering::Relaxed).to_string());
        status.detail("retained messages", self.retained().letters.len().to_string());
        status.detail("connections turned away", of(&self.turned_away));
        status.detail("logins refused", of(&self.logins_refused));
        status.detail("messages not allowed", of(&self.not_allowed));
        status.detail("messages for slow subscribers left out", of(&self.passed_over));
        status.detail("messages not retained", of(&self.not_retained));
    }
}

fn may_hear(client: &Client, filter: &str) -> Result<(), Denied> {
    if filter.starts_with("$share/") {
        return Err(Denied::Shared);
    }
    if filter.len() > FILTER_BYTES_MAX || !valid_filter(filter) || filter.contains('\0') {
        return Err(Denied::Invalid);
    }
    if client.may_read || is_said_to_nodes(filter) { Ok(()) } else { Err(Denied::NotAuthorized) }
}

/// Sparkplug's commands and states, which a node that only hands in readings must hear.
pub(crate) fn is_said_to_nodes(topic: &str) -> bool {
    let mut parts = topic.split('/');
    let (space, group, verb) = (parts.next(), parts.next(), parts.next());
    space == Some(SPARKPLUG) && (group == Some("STATE") || matches!(verb, Some("NCMD" | "DCMD")))
}

/// Sparkplug's births, data and deaths.
pub(crate) fn is_said_by_nodes(topic: &str) -> bool {
    let mut parts = topic.split('/');
    let (space, group, verb) = (parts.next(), parts.next(), parts.next());
    let verbs = ["NBIRTH", "NDATA", "NDEATH", "DBIRTH", "DDATA", "DDEATH"];
    space == Some(SPARKPLUG)
        && group != Some("STATE")
        && verb.is_some_and(|verb| verbs.contains(&verb))
}
