use kernel::{Event, Timestamp};
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{ColumnDef, Expr, Index, Table};
use sea_orm::{ActiveValue::Set, ExprTrait, QueryOrder, QuerySelect};
use store::records::{Change, Migration, Records, Tx};
use uuid::Uuid;

use crate::error::NotificationsError;
use crate::model::{About, Channel, Notification, NotificationState};

/// One message to one receiver.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "notifications")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    id: String,
    channel: String,
    recipient: String,
    severity: String,
    title: String,
    body: String,
    state: String,
    attempts: i32,
    error: Option<String>,
    /// The mail server was about to be given the text.
    handed_over: bool,
    due_at: i64,
    created_at: i64,
    sent_at: Option<i64>,
    read_at: Option<i64>,
    read_by: Option<String>,
    dedupe: String,
    /// The event that caused it, whole: webhooks carry it.
    event: String,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// A message with the event that caused it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Stored {
    pub(crate) notification: Notification,
    /// Receiver as configured.
    pub(crate) recipient: String,
    pub(crate) handed_over: bool,
    pub(crate) event: Event,
}

/// A message to be written down.
pub(crate) struct Fresh<'a> {
    pub(crate) notification: &'a Notification,
    pub(crate) dedupe: &'a str,
    pub(crate) due_at: Timestamp,
    pub(crate) event: &'a Event,
}

/// Which part of the list is wanted, newest first.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Selection {
    pub(crate) before: Option<Uuid>,
    pub(crate) channel: Option<Channel>,
    pub(crate) state: Option<NotificationState>,
    pub(crate) limit: u64,
}

impl From<sea_orm::DbErr> for NotificationsError {
    fn from(error: sea_orm::DbErr) -> Self {
        Self::Database(error.into())
    }
}

pub(crate) fn migrations() -> Vec<Migration> {
    let text = |column: Column| ColumnDef::new(column).text().not_null().take();
    let table = Table::create()
        .table(Entity)
        .col(ColumnDef::new(Column::Id).string().not_null().primary_key())
        .col(text(Column::Channel))
        .col(text(Column::Recipient))
        .col(text(Column::Severity))
        .col(text(Column::Title))
        .col(text(Column::Body))
        .col(text(Column::State))
        .col(ColumnDef::new(Column::Attempts).integer().not_null())
        .col(ColumnDef::new(Column::Error).text())
        .col(ColumnDef::new(Column::HandedOver).boolean().not_null())
        .col(ColumnDef::new(Column::DueAt).big_integer().not_null())
        .col(ColumnDef::new(Column::CreatedAt).big_integer().not_null())
        .col(ColumnDef::new(Column::SentAt).big_integer())
        .col(ColumnDef::new(Column::ReadAt).big_integer())
        .col(ColumnDef::new(Column::ReadBy).text())
        .col(text(Column::Dedupe))
        .col(text(Column::Event))
        .to_owned();
    let due = Index::create()
        .name("notifications_due")
        .table(Entity)
        .col(Column::State)
        .col(Column::DueAt)
        .to_owned();
    let dedupe = Index::create()
        .name("notifications_dedupe")
        .table(Entity)
        .col(Column::Dedupe)
        .unique()
        .to_owned();
    vec![Migration {
        name: "notifications_0001_notifications",
        changes: vec![Change::Table(table), Change::Index(due), Change::Index(dedupe)],
    }]
}

/// True when a message with this key was written before.
pub(crate) async fn is_known(tx: &Tx, dedupe: &str) -> Result<bool, NotificationsError> {
    let found = Entity::find().filter(Column::Dedupe.eq(dedupe)).count(tx.conn()).await?;
    Ok(found > 0)
}

pub(crate) async fn insert(tx: &Tx, fresh: Fresh<'_>) -> Result<(), NotificationsError> {
    let Fresh { notification, dedupe, due_at, event } = fresh;
    let event_text = serde_json::to_string(event)
        .map_err(|source| NotificationsError::Payload { kind: event.kind.clone(), source })?;
    let row = ActiveModel {
        id: Set(notification.notification_id.to_string()),
        channel: Set(notification.channel.as_str().to_owned()),
        recipient: Set(notification.to.clone()),
        severity: Set(notification.severity.as_str().to_owned()),
        title: Set(notification.title.clone()),
        body: Set(notification.body.clone()),
        state: Set(notification.state.as_str().to_owned()),
        attempts: Set(i32::try_from(notification.attempts).unwrap_or(i32::MAX)),
        error: Set(notification.error.clone()),
        handed_over: Set(false),
        due_at: Set(due_at.as_micros()),
        created_at: Set(notification.created_at.as_micros()),
        sent_at: Set(notification.sent_at.map(Timestamp::as_micros)),
        read_at: Set(None),
        read_by: Set(None),
        dedupe: Set(dedupe.to_owned()),
        event: Set(event_text),
    };
    Entity::insert(row).exec_without_returning(tx.conn()).await?;
    Ok(())
}

/// The message that has been due longest; `None` when none is.
pub(crate) async fn next_due(
    records: &Records,
    now: Timestamp,
) -> Result<Option<Uuid>, NotificationsError> {
    let row = Entity::find()
        .filter(Column::State.eq(NotificationState::Pending.as_str()))
        .filter(Column::DueAt.lte(now.as_micros()))
        .order_by_asc(Column::DueAt)
        .order_by_asc(Column::Id)
        .one(records.read())
        .await?;
    row.map(|row| id_of(&row)).transpose()
}

/// Marks a waiting message as being sent; `None` when someone else has it.
pub(crate) async fn claim(tx: &Tx, id: Uuid) -> Result<Option<Stored>, NotificationsError> {
    let changed = Entity::update_many()
        .col_expr(Column::State, Expr::value(NotificationState::Sending.as_str()))
        .col_expr(Column::Attempts, Expr::col(Column::Attempts).add(1))
        .col_expr(Column::HandedOver, Expr::value(false))
        .filter(Column::Id.eq(id.to_string()))
        .filter(Column::State.eq(NotificationState::Pending.as_str()))
        .exec(tx.conn())
        .await?;
    if changed.rows_affected == 0 {
        return Ok(None);
    }
    let row = Entity::find_by_id(id.to_string()).one(tx.conn()).await?;
    row.map(stored).transpose()
}

/// Notes, before it happens, that a mail's text is given to the server.
pub(crate) async fn mark_handed_over(tx: &Tx, id: Uuid) -> Result<(), NotificationsError> {
    Entity::update_many()
        .col_expr(Column::HandedOver, Expr::value(true))
        .filter(Column::Id.eq(id.to_string()))
        .exec(tx.conn())
        .await?;
    Ok(())
}

/// Everything that is marked as being sent.
pub(crate) async fn in_flight(
    records: &Records,
    limit: u64,
) -> Result<Vec<Stored>, NotificationsError> {
    let rows = Entity::find()
        .filter(Column::State.eq(NotificationState::Sending.as_str()))
        .limit(limit)
        .all(records.read())
        .await?;
    rows.into_iter().map(stored).collect()
}

/// Writes what became of an attempt.
pub(crate) async fn settle(
    tx: &Tx,
    notification: &Notification,
    due_at: Timestamp,
) -> Result<(), NotificationsError> {
    Entity::update_many()
        .col_expr(Column::State, Expr::value(notification.state.as_str()))
        .col_expr(Column::Error, Expr::value(notification.error.clone()))
        .col_expr(Column::SentAt, Expr::value(notification.sent_at.map(Timestamp::as_micros)))
        .col_expr(Column::DueAt, Expr::value(due_at.as_micros()))
        .filter(Column::Id.eq(notification.notification_id.to_string()))
        .filter(Column::State.eq(NotificationState::Sending.as_str()))
        .exec(tx.conn())
        .await?;
    Ok(())
}

/// How many messages wait.
pub(crate) async fn waiting(records: &Records) -> Result<u64, NotificationsError> {
    let state = Column::State.eq(NotificationState::Pending.as_str());
    Ok(Entity::find().filter(state).count(records.read()).await?)
}

pub(crate) async fn list(
    records: &Records,
    selection: Selection,
) -> Result<Vec<Notification>, NotificationsError> {
    let mut query = Entity::find();
    if let Some(before) = selection.before {
        query = query.filter(Column::Id.lt(before.to_string()));
    }
    if let Some(channel) = selection.channel {
        query = query.filter(Column::Channel.eq(channel.as_str()));
    }
    if let Some(state) = selection.state {
        query = query.filter(Column::State.eq(state.as_str()));
    }
    let rows = query.order_by_desc(Column::Id).limit(selection.limit).all(records.read()).await?;
    rows.into_iter().map(|row| stored(row).map(|stored| stored.notification)).collect()
}

/// Notes who read it first; reading it again changes nothing.
pub(crate) async fn mark_read(
    tx: &Tx,
    id: Uuid,
    reader: &str,
    now: Timestamp,
) -> Result<Notification, NotificationsError> {
    Entity::update_many()
        .col_expr(Column::ReadAt, Expr::value(now.as_micros()))
        .col_expr(Column::ReadBy, Expr::value(reader))
        .filter(Column::Id.eq(id.to_string()))
        .filter(Column::ReadAt.is_null())
        .exec(tx.conn())
        .await?;
    let row = Entity::find_by_id(id.to_string()).one(tx.conn()).await?;
    let row = row.ok_or(NotificationsError::Unknown { id })?;
    Ok(stored(row)?.notification)
}

fn id_of(row: &Model) -> Result<Uuid, NotificationsError> {
    Uuid::try_parse(&row.id).map_err(|_| damaged("id", &row.id))
}

fn stored(row: Model) -> Result<Stored, NotificationsError> {
    let event: Event = serde_json::from_str(&row.event)
        .map_err(|source| NotificationsError::Payload { kind: "stored event".into(), source })?;
    let channel =
        Channel::from_name(&row.channel).ok_or_else(|| damaged("channel", &row.channel))?;
    let notification = Notification {
        notification_id: id_of(&row)?,
        channel,
        to: shown(channel, &row.recipient),
        severity: crate::model::Severity::from_name(&row.severity)
            .ok_or_else(|| damaged("severity", &row.severity))?,
        title: row.title,
        body: row.body,
        about: About {
            kind: event.kind.clone(),
            subject: event.subject.clone(),
            event_id: event.id,
        },
        state: NotificationState::from_name(&row.state)
            .ok_or_else(|| damaged("state", &row.state))?,
        attempts: u32::try_from(row.attempts).unwrap_or(0),
        error: row.error,
        created_at: Timestamp::from_micros(row.created_at),
        sent_at: row.sent_at.map(Timestamp::from_micros),
        read_at: row.read_at.map(Timestamp::from_micros),
        read_by: row.read_by,
        correlation_id: event.correlationid,
    };
    Ok(Stored { notification, recipient: row.recipient, handed_over: row.handed_over, event })
}

/// A webhook's query may hold a token, so it is not shown.
fn shown(channel: Channel, recipient: &str) -> String {
    match channel {
        Channel::Webhook => recipient.split(['?', '#']).next().unwrap_or_default().to_owned(),
        Channel::Email | Channel::InApp => recipient.to_owned(),
    }
}

fn damaged(field: &'static str, value: &str) -> NotificationsError {
    NotificationsError::Damaged { field, value: value.chars().take(64).collect() }
}
