use clap::Subcommand;
use kernel::Timestamp;

use super::output;
use crate::compose;
use crate::config::Config;

#[derive(Subcommand)]
pub(crate) enum KeysCommand {
    /// Make a key; it is shown once
    Create {
        /// Who will use it, as it shall stand in logs and in the audit
        #[arg(long)]
        name: String,
        /// ingest, viewer, operator, engineer or admin
        #[arg(long, value_parser = parse_role)]
        role: web::Role,
        /// When it stops working, such as 2027-01-01T00:00:00Z
        #[arg(long)]
        expires: Option<Timestamp>,
    },
    /// Show the keys, without their secrets
    List,
    /// Make a key stop working, in a running server within five seconds
    Revoke {
        /// The key's id, as `keys list` shows it
        id: String,
    },
}

fn parse_role(text: &str) -> Result<web::Role, String> {
    serde_json::from_value(serde_json::Value::from(text)).map_err(|_| {
        format!("`{text}` is no role; choose ingest, viewer, operator, engineer or admin")
    })
}

pub(super) async fn run(command: KeysCommand, config: &Config, json: bool) -> anyhow::Result<()> {
    match command {
        KeysCommand::Create { name, role, expires } => {
            let key = compose::create_key(config, &name, role, expires).await?;
            if json {
                output::print(&serde_json::json!({ "name": name, "key": key }).to_string());
            } else {
                output::print(&key);
                output::tell("This key is shown once. Send it as X-API-Key.");
            }
        }
        KeysCommand::List => {
            let keys = compose::open_keys(config).await?.list().await?;
            if json {
                output::print(&serde_json::to_string(&keys)?);
                return Ok(());
            }
            for key in keys {
                let state = match (key.revoked_at, key.expires_at) {
                    (Some(at), _) => format!("revoked {at}"),
                    (None, Some(at)) => format!("until {at}"),
                    (None, None) => "active".to_owned(),
                };
                output::print(&format!("{}  {:<20} {:<9?} {state}", key.id, key.name, key.role));
            }
        }
        KeysCommand::Revoke { id } => {
            let revoked = compose::open_keys(config).await?.revoke(&id).await?;
            anyhow::ensure!(revoked.is_some(), "there is no key `{id}`");
            output::print(&format!("revoked {id}"));
        }
    }
    Ok(())
}
