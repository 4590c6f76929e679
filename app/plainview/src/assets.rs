//! The built UI, carried inside the program.

use std::sync::Arc;

use rust_embed::RustEmbed;

#[derive(RustEmbed)]
#[folder = "../../ui/dist"]
struct Dist;

/// The UI's files, as the web wants them.
pub(crate) fn assets() -> web::Assets {
    Arc::new(|path| {
        let file = Dist::get(path)?;
        Some(web::Asset {
            hash: file.metadata.sha256_hash(),
            media_type: file.metadata.mimetype().to_owned(),
            bytes: file.data,
        })
    })
}
