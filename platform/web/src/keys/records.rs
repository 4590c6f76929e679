use kernel::Timestamp;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{Alias, ColumnDef, Index, Table};
use sea_orm::{ActiveModelTrait, Condition, QueryOrder, QuerySelect, Set};
use store::records::{Change, Migration, Records, RecordsError, Tx};

use crate::{Role, WebError};

use super::Key;

/// More keys than any installation has; the list is not paged.
const LISTED_MAX: u64 = 1_000;

#[expect(unreachable_pub, reason = "the derive wants public items")]
mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "api_keys")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: String,
        pub name: String,
        pub role: String,
        pub prefix: String,
        pub hash: String,
        pub created_at: i64,
        pub expires_at: Option<i64>,
        pub revoked_at: Option<i64>,
        pub last_used_at: Option<i64>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

use row::{ActiveModel, Column, Entity, Model};

impl From<DbErr> for WebError {
    fn from(error: DbErr) -> Self {
        Self::Records(RecordsError::Database(error))
    }
}

pub(super) fn migrations() -> Vec<Migration> {
    let name = Alias::new;
    let table = Table::create()
        .table(name("api_keys"))
        .col(ColumnDef::new(name("id")).string().not_null().primary_key())
        .col(ColumnDef::new(name("name")).string().not_null())
        .col(ColumnDef::new(name("role")).string().not_null())
        .col(ColumnDef::new(name("prefix")).string().not_null())
        .col(ColumnDef::new(name("hash")).string().not_null())
        .col(ColumnDef::new(name("created_at")).big_integer().not_null())
        .col(ColumnDef::new(name("expires_at")).big_integer())
        .col(ColumnDef::new(name("revoked_at")).big_integer())
        .col(ColumnDef::new(name("last_used_at")).big_integer())
        .to_owned();
    let index = Index::create()
        .name("api_keys_prefix")
        .table(name("api_keys"))
        .col(name("prefix"))
        .unique()
        .to_owned();
    vec![Migration {
        name: "web_0001_api_keys",
        changes: vec![Change::Table(table), Change::Index(index)],
    }]
}

pub(super) async fn insert(tx: &Tx, key: &Key, hash: blake3::Hash) -> Result<(), WebError> {
    let row = ActiveModel {
        id: Set(key.id.clone()),
        name: Set(key.name.clone()),
        role: Set(key.role.as_str().to_owned()),
        prefix: Set(key.prefix.clone()),
        hash: Set(hash.to_hex().to_string()),
        created_at: Set(key.created_at.as_micros()),
        expires_at: Set(key.expires_at.map(Timestamp::as_micros)),
        revoked_at: Set(None),
        last_used_at: Set(None),
    };
    Entity::insert(row).exec_without_returning(tx.conn()).await?;
    Ok(())
}

/// Whether a living key has this name.
pub(super) async fn name_is_taken(tx: &Tx, name: &str, now: Timestamp) -> Result<bool, WebError> {
    let living = Condition::any()
        .add(Column::ExpiresAt.is_null())
        .add(Column::ExpiresAt.gt(now.as_micros()));
    let found = Entity::find()
        .filter(Column::Name.eq(name))
        .filter(Column::RevokedAt.is_null())
        .filter(living)
        .one(tx.conn())
        .await?;
    Ok(found.is_some())
}

pub(super) async fn list(records: &Records) -> Result<Vec<Key>, WebError> {
    let rows =
        Entity::find().order_by_desc(Column::Id).limit(LISTED_MAX).all(records.read()).await?;
    rows.into_iter().map(key_of).collect()
}

pub(super) async fn by_prefix(
    records: &Records,
    prefix: &str,
) -> Result<Option<(Key, blake3::Hash)>, WebError> {
    let row = Entity::find().filter(Column::Prefix.eq(prefix)).one(records.read()).await?;
    let Some(row) = row else { return Ok(None) };
    let hash = blake3::Hash::from_hex(&row.hash).map_err(|error| RecordsError::Damaged {
        field: "api_keys.hash",
        reason: error.to_string(),
    })?;
    Ok(Some((key_of(row)?, hash)))
}

pub(super) async fn revoke(tx: &Tx, which: &str, now: Timestamp) -> Result<Option<Key>, WebError> {
    let named = Condition::any()
        .add(Column::Id.eq(which))
        .add(Column::Prefix.eq(which))
        .add(Column::Name.eq(which));
    let row = Entity::find()
        .filter(named)
        .filter(Column::RevokedAt.is_null())
        .order_by_desc(Column::Id)
        .one(tx.conn())
        .await?;
    let Some(row) = row else { return Ok(None) };
    let mut changed = ActiveModel::from(row);
    changed.revoked_at = Set(Some(now.as_micros()));
    key_of(changed.update(tx.conn()).await?).map(Some)
}

pub(super) async fn note_use(tx: &Tx, id: &str, now: Timestamp) -> Result<(), WebError> {
    Entity::update_many()
        .col_expr(Column::LastUsedAt, Expr::value(now.as_micros()))
        .filter(Column::Id.eq(id))
        .exec(tx.conn())
        .await?;
    Ok(())
}

fn key_of(row: Model) -> Result<Key, WebError> {
    let Some(role) = Role::parse(&row.role) else {
        return Err(WebError::UnknownRole { name: row.name, role: row.role });
    };
    Ok(Key {
        id: row.id,
        name: row.name,
        role,
        prefix: row.prefix,
        created_at: Timestamp::from_micros(row.created_at),
        expires_at: row.expires_at.map(Timestamp::from_micros),
        revoked_at: row.revoked_at.map(Timestamp::from_micros),
        last_used_at: row.last_used_at.map(Timestamp::from_micros),
    })
}
