//! GraphQL about the graph as a whole: the account, counts, properties, and `queryV2`.

use super::gate::{self, CancelGuard, WorkKind};
use super::graphql::{
    CorrelationId, GraphqlResult, QueryPage, deferred_page, graphql_error, parts, run_query,
};
use super::{ApiCaller, AppState, blocking};
use async_graphql::{Context, Json as Scalar, Object, SimpleObject};
use serde_json::{Value as Json_, json};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;
use tombolo::answers::{AnswerError, StatsAnswer};
use tombolo::graph::GraphRead;
use tombolo::limits::CostMeter;

/// The account, which is the database.
#[derive(SimpleObject)]
#[graphql(rename_fields = "camelCase")]
struct IamAccount {
    account_id: String,
    account_subdomain: String,
    account_name: String,
    account_owner: Option<String>,
    status: String,
    account_type: String,
    account_logo_url: Option<String>,
}

/// How many entities there are of each class and type.
#[derive(SimpleObject)]
struct EntityCounts {
    classes: Scalar<Json_>,
    types: Scalar<Json_>,
}

/// An answer of `queryV2`: where its rows can be fetched.
#[derive(SimpleObject)]
#[graphql(rename_fields = "camelCase")]
struct QueryV2Response {
    r#type: String,
    url: String,
    correlation_id: String,
}

/// Questions about the graph as a whole.
#[derive(Default)]
pub struct AccountQuestions;

#[Object]
impl AccountQuestions {
    /// The account that the caller names; there is but one, whatever it is called.
    #[graphql(name = "iamGetAccount")]
    async fn account(&self, context: &Context<'_>) -> GraphqlResult<IamAccount> {
        let caller = reader(context)?.1;
        Ok(IamAccount {
            account_id: caller.account.clone(),
            account_subdomain: caller.account.clone(),
            account_name: caller.account.clone(),
            account_owner: None,
            status: "ACTIVE".into(),
            account_type: "tombolo".into(),
            account_logo_url: None,
        })
    }

    /// How many live entities there are of each class and type.
    #[graphql(name = "getEntityCounts")]
    async fn entity_counts(&self, context: &Context<'_>) -> GraphqlResult<EntityCounts> {
        let (app, _) = reader(context)?;
        let counts = |app: &AppState| {
            let found = StatsAnswer::read(&app.database, &app.database.snapshot()?)?;
            let mut classes: BTreeMap<String, u64> = BTreeMap::new();
            let mut types: BTreeMap<String, u64> = BTreeMap::new();
            for class in found.classes.iter().filter(|class| class.kind == "entities") {
                *classes.entry(class.class.clone()).or_default() += class.live;
            }
            for kind in found.types.iter().filter(|kind| kind.kind == "entities") {
                *types.entry(kind.type_name.clone()).or_default() += kind.live;
            }
            Ok((classes, types))
        };
        let (mut classes, mut types) =
            blocking(app, WorkKind::Read, counts).await.map_err(graphql_error)?;
        classes.retain(|_, count| *count > 0);
        types.retain(|_, count| *count > 0);
        Ok(EntityCounts { classes: Scalar(json!(classes)), types: Scalar(json!(types)) })
    }

    /// The names of all properties that live entities have.
    // It reads every entity.
    #[graphql(name = "getAllAssetProperties", complexity = "500")]
    async fn asset_properties(&self, context: &Context<'_>) -> GraphqlResult<Vec<String>> {
        let (app, _) = reader(context)?;
        let waiting = CancelGuard::default();
        let limits = app.question(&waiting);
        let names = move |app: &AppState| {
            let meter = CostMeter::new(limits);
            meter.hold(gate::QUESTION_BYTES).map_err(AnswerError::from)?;
            let snapshot = app.database.snapshot()?;
            let mut names = BTreeSet::new();
            let found = snapshot.scan(|number, _| -> Result<ControlFlow<()>, AnswerError> {
                meter.spend(5_000)?;
                let entity = snapshot.entity(number)?;
                for (name, _) in entity.into_iter().flat_map(|entity| entity.properties) {
                    meter.hold(if names.contains(&name) { 0 } else { name.len() as u64 + 64 })?;
                    names.insert(name);
                }
                Ok(ControlFlow::Continue(()))
            });
            found?;
            Ok(names.into_iter().collect())
        };
        blocking(app, WorkKind::Read, names).await.map_err(graphql_error)
    }

    /// Asks in J1QL. The rows wait at the `url` of the answer.
    #[graphql(name = "queryV2", complexity = "50 + child_complexity")]
    #[allow(clippy::too_many_arguments)]
    async fn query_v2(
        &self,
        context: &Context<'_>,
        query: String,
        variables: Option<Scalar<Json_>>,
        cursor: Option<String>,
        #[graphql(name = "scopeFilters")] scope_filters: Option<Scalar<Json_>>,
        #[graphql(name = "includeDeleted")] include_deleted: Option<bool>,
        #[graphql(name = "returnRowMetadata")] _metadata: Option<bool>,
        #[graphql(name = "returnComputedProperties")] _computed: Option<bool>,
    ) -> GraphqlResult<QueryV2Response> {
        let _ = reader(context)?;
        if scope_filters.is_some_and(|filters| !is_empty(&filters.0)) {
            return Err(scope_filters_refused());
        }
        let cursor = cursor.filter(|cursor| !cursor.is_empty());
        let page = match cursor {
            Some(cursor) => QueryPage::at(context, &cursor)?,
            None => {
                let values = variables.as_ref().map(|variables| &variables.0);
                let include_deleted = include_deleted == Some(true);
                let found = run_query(context, query, values, include_deleted).await?;
                QueryPage::first(context, &found)?
            }
        };
        Ok(QueryV2Response {
            r#type: "deferred".into(),
            url: deferred_page(context, page)?,
            correlation_id: context.data::<CorrelationId>()?.0.clone(),
        })
    }
}

/// The server and a caller that may read.
pub fn reader<'c>(context: &Context<'c>) -> GraphqlResult<(&'c Arc<AppState>, &'c ApiCaller)> {
    let (app, caller) = parts(context)?;
    caller.reads().map_err(graphql_error)?;
    Ok((app, caller))
}

/// True if filters filter nothing.
pub fn is_empty(filters: &Json_) -> bool {
    match filters {
        Json_::Null => true,
        Json_::Array(all) => all.iter().all(is_empty),
        Json_::Object(members) => members.is_empty(),
        _ => false,
    }
}

/// The error of a filter beside the query.
pub fn scope_filters_refused() -> async_graphql::Error {
    let message = "scopeFilters are not supported; say it in the query, with WITH or IN SCOPE";
    super::graphql::coded(message, "SCOPE_FILTERS_NOT_SUPPORTED")
}
