use sea_orm::Statement;

tokio::task_local! {
    static RIDER: Statement;
}

/// Does `work`; every transaction it begins (but none of the tasks it spawns) ends with
/// `statement`. What must be noted of a request thus commits with whatever the request changes.
pub async fn with_rider<F: Future>(statement: Statement, work: F) -> F::Output {
    RIDER.scope(statement, work).await
}

pub(super) fn current() -> Vec<Statement> {
    RIDER.try_with(Clone::clone).into_iter().collect()
}
