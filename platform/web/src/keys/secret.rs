use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// 256 bits: guessing is hopeless, so a fast hash is enough to store it under.
const SECRET_BYTES: usize = 32;
const PREFIX_BYTES: usize = 6;

/// What a key is made from; drawn from a cryptographic source.
pub(super) type Entropy = [u8; SECRET_BYTES + PREFIX_BYTES];

/// The public prefix and the whole key, `pv_<prefix>_<secret>`.
pub(super) fn from_entropy(entropy: &Entropy) -> (String, String) {
    let (id, random) = entropy.split_at(PREFIX_BYTES);
    let prefix: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    let key = format!("pv_{prefix}_{}", URL_SAFE_NO_PAD.encode(random));
    (prefix, key)
}

pub(super) fn hash(key: &str) -> blake3::Hash {
    blake3::hash(key.as_bytes())
}

pub(super) fn prefix_of(key: &str) -> Option<&str> {
    let (prefix, _) = key.strip_prefix("pv_")?.split_once('_')?;
    let is_prefix =
        prefix.len() == 2 * PREFIX_BYTES && prefix.bytes().all(|b| b.is_ascii_hexdigit());
    is_prefix.then_some(prefix)
}
