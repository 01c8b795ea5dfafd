//! GraphQL about integrations, as far as a graph store knows of them: who uploaded, and with which jobs.
//!
//! An integration is the scope of jobs whose `source` begins with `integration`. Its schedule, its
//! configuration and its definition are those of the program that runs it.

use super::AppState;
use super::blocking;
use super::gate::WorkKind;
use super::graphql::{GraphqlResult, coded, graphql_error};
use super::graphql_account::{is_empty, reader};
use async_graphql::{
    Context, Enum, ID, InputValueError, InputValueResult, Json as Scalar, Object, Scalar,
    ScalarType, SimpleObject, Value,
};
use serde_json::{Value as Json_, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use tombolo::answers::rfc3339_text;
use tombolo::sync::{JobReport, JobStatus};

/// Items of a page, and the most of one.
const PAGE: usize = 100;
const PAGE_MAX: usize = 1_000;

/// The state of a job, in the words of these clients.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
enum IntegrationJobStatus {
    Pending,
    InProgress,
    Running,
    Completed,
    Failed,
    Cancelled,
}

/// The time at which something runs, if this server knew of any.
#[derive(Clone, SimpleObject)]
#[graphql(rename_fields = "camelCase")]
struct CronExpression {
    hour: Option<i32>,
    day_of_week: Option<i32>,
}

/// A job in short.
#[derive(Clone, SimpleObject)]
#[graphql(rename_fields = "camelCase")]
struct MostRecentJob {
    status: IntegrationJobStatus,
    has_skipped_steps: bool,
    create_date: String,
}

/// An integration in a list.
#[derive(Clone, SimpleObject)]
#[graphql(rename_fields = "camelCase")]
struct IntegrationInstanceLite {
    id: String,
    name: String,
    account_id: String,
    source_integration_instance_id: Option<String>,
    polling_interval: String,
    polling_interval_cron_expression: Option<CronExpression>,
    integration_definition_id: Option<String>,
    description: Option<String>,
    config: Scalar<Json_>,
    instance_relationship: Option<String>,
    resource_group_id: Option<String>,
    created_on: Option<String>,
    created_by: Option<String>,
    updated_on: Option<String>,
    updated_by: Option<String>,
    most_recent_job: Option<MostRecentJob>,
}

/// The definition of an integration, of which this server knows the name alone.
#[derive(Clone, SimpleObject)]
#[graphql(rename_fields = "camelCase")]
struct IntegrationDefinitionName {
    id: Option<String>,
    name: String,
    title: String,
    integration_type: String,
}

/// Whose job it is.
#[derive(Clone, SimpleObject)]
struct IntegrationInstanceName {
    id: String,
    name: String,
}

/// A job of an integration.
#[derive(Clone, SimpleObject)]
#[graphql(rename_fields = "camelCase")]
struct IntegrationJob {
    id: String,
    status: IntegrationJobStatus,
    integration_instance_id: String,
    create_date: String,
    end_date: Option<String>,
    has_skipped_steps: bool,
    integration_instance: IntegrationInstanceName,
    integration_definition: Option<IntegrationDefinitionName>,
}

/// Where a page ends.
#[derive(SimpleObject)]
#[graphql(rename_fields = "camelCase")]
struct PageInfo {
    end_cursor: Option<String>,
    has_next_page: bool,
}

#[derive(SimpleObject)]
#[graphql(rename_fields = "camelCase")]
struct IntegrationInstanceList {
    instances: Vec<IntegrationInstanceLite>,
    page_info: PageInfo,
}

#[derive(SimpleObject)]
#[graphql(rename_fields = "camelCase")]
struct IntegrationJobList {
    jobs: Vec<IntegrationJob>,
    page_info: PageInfo,
}

/// A source of an integration that is switched; there is none here.
#[derive(Clone, SimpleObject)]
#[graphql(rename_fields = "camelCase")]
struct IngestionSourceOverride {
    ingestion_source_id: String,
    enabled: bool,
}

/// One integration.
#[derive(SimpleObject)]
#[graphql(rename_fields = "camelCase")]
struct IntegrationInstance {
    #[graphql(flatten)]
    lite: IntegrationInstanceLite,
    integration_definition: Option<IntegrationDefinitionName>,
    offsite_complete: bool,
    jobs: IntegrationJobList,
    ingestion_sources_overrides: Vec<IngestionSourceOverride>,
    collector_pool_id: Option<String>,
}

/// A filter of integrations. Only the empty one is known.
struct InstanceFilter(Json_);

#[Scalar(name = "ListIntegrationInstancesSearchFilter")]
impl ScalarType for InstanceFilter {
    fn parse(value: Value) -> InputValueResult<Self> {
        value.into_json().map(InstanceFilter).map_err(InputValueError::custom)
    }

    fn to_value(&self) -> Value {
        Value::from_json(self.0.clone()).unwrap_or_default()
    }
}

/// Questions about integrations.
#[derive(Default)]
pub struct IntegrationQuestions;

#[Object]
impl IntegrationQuestions {
    /// The integrations that have uploaded something.
    #[graphql(name = "integrationInstances")]
    async fn instances(
        &self,
        context: &Context<'_>,
        #[graphql(name = "definitionId")] definition_id: Option<String>,
        cursor: Option<String>,
        limit: Option<i32>,
    ) -> GraphqlResult<IntegrationInstanceList> {
        instances(context, definition_id, cursor, limit, None).await
    }

    /// The same.
    #[graphql(name = "integrationInstancesV2")]
    async fn instances_v2(
        &self,
        context: &Context<'_>,
        #[graphql(name = "definitionId")] definition_id: Option<String>,
        cursor: Option<String>,
        limit: Option<i32>,
        filter: Option<InstanceFilter>,
    ) -> GraphqlResult<IntegrationInstanceList> {
        instances(context, definition_id, cursor, limit, filter).await
    }

    /// One integration.
    #[graphql(name = "integrationInstance")]
    async fn instance(
        &self,
        context: &Context<'_>,
        id: String,
    ) -> GraphqlResult<IntegrationInstance> {
        let jobs = jobs(context).await?;
        let own: Vec<&JobReport> = jobs.iter().filter(|job| job.scope == id).collect();
        if own.is_empty() {
            return Err(coded("no integration with this id has uploaded anything", "NOT_FOUND"));
        }
        let account = &reader(context)?.1.account;
        Ok(IntegrationInstance {
            lite: lite(account, &id, &own),
            integration_definition: None,
            offsite_complete: true,
            jobs: IntegrationJobList {
                jobs: own.iter().take(PAGE).map(|job| told(job)).collect(),
                page_info: PageInfo { end_cursor: None, has_next_page: own.len() > PAGE },
            },
            ingestion_sources_overrides: Vec::new(),
            collector_pool_id: None,
        })
    }

    /// Jobs of integrations, the newest first.
    #[graphql(name = "integrationJobs")]
    #[allow(clippy::too_many_arguments)]
    async fn jobs(
        &self,
        context: &Context<'_>,
        status: Option<IntegrationJobStatus>,
        #[graphql(name = "integrationInstanceId")] instance: Option<String>,
        #[graphql(name = "integrationDefinitionId")] definition: Option<String>,
        #[graphql(name = "integrationInstanceIds")] instances: Option<Vec<Option<String>>>,
        cursor: Option<String>,
        size: Option<i32>,
    ) -> GraphqlResult<IntegrationJobList> {
        let jobs = jobs(context).await?;
        let named: Vec<String> = instances.into_iter().flatten().flatten().collect();
        let wanted = |job: &&JobReport| {
            instance.as_ref().is_none_or(|id| *id == job.scope)
                && (named.is_empty() || named.contains(&job.scope))
                && status.is_none_or(|status| status == state(job))
                // No integration here says of which definition it is.
                && definition.is_none()
        };
        let wanted: Vec<IntegrationJob> = jobs.iter().filter(wanted).map(told).collect();
        let (jobs, page_info) = page(wanted, cursor.as_deref(), size)?;
        Ok(IntegrationJobList { jobs, page_info })
    }

    /// One job of an integration.
    #[graphql(name = "integrationJob")]
    async fn job(
        &self,
        context: &Context<'_>,
        id: ID,
        #[graphql(name = "integrationInstanceId")] instance: String,
    ) -> GraphqlResult<IntegrationJob> {
        let jobs = jobs(context).await?;
        let found = jobs.iter().find(|job| job.id.to_string() == *id && job.scope == instance);
        found.map(told).ok_or_else(|| coded("no such job of this integration", "JOB_NOT_FOUND"))
    }
}

async fn instances(
    context: &Context<'_>,
    definition: Option<String>,
    cursor: Option<String>,
    limit: Option<i32>,
    filter: Option<InstanceFilter>,
) -> GraphqlResult<IntegrationInstanceList> {
    if filter.is_some_and(|filter| !is_empty(&filter.0)) {
        return Err(coded("integrations cannot be filtered here; list all", "BAD_FILTER"));
    }
    let jobs = jobs(context).await?;
    let account = &reader(context)?.1.account;
    let mut by_scope: BTreeMap<&str, Vec<&JobReport>> = BTreeMap::new();
    // No integration here says of which definition it is.
    for job in jobs.iter().filter(|_| definition.is_none()) {
        by_scope.entry(&job.scope).or_default().push(job);
    }
    let all = by_scope.iter().map(|(scope, jobs)| lite(account, scope, jobs)).collect();
    let (instances, page_info) = page(all, cursor.as_deref(), limit)?;
    Ok(IntegrationInstanceList { instances, page_info })
}

/// All jobs of integrations, the newest first.
async fn jobs(context: &Context<'_>) -> GraphqlResult<Vec<JobReport>> {
    let (app, _) = reader(context)?;
    let app: &Arc<AppState> = app;
    let jobs = |app: &AppState| {
        let mut jobs = app.database.jobs()?;
        jobs.retain(|job| job.source.starts_with("integration"));
        Ok(jobs)
    };
    blocking(app, WorkKind::Read, jobs).await.map_err(graphql_error)
}

fn state(job: &JobReport) -> IntegrationJobStatus {
    match job.status {
        JobStatus::AwaitingUploads | JobStatus::Held => IntegrationJobStatus::InProgress,
        JobStatus::Finished => IntegrationJobStatus::Completed,
        JobStatus::Aborted => IntegrationJobStatus::Cancelled,
        JobStatus::Refused => IntegrationJobStatus::Failed,
    }
}

fn told(job: &JobReport) -> IntegrationJob {
    IntegrationJob {
        id: job.id.to_string(),
        status: state(job),
        integration_instance_id: job.scope.clone(),
        create_date: rfc3339_text(job.start_timestamp),
        end_date: job.end_timestamp.map(rfc3339_text),
        has_skipped_steps: false,
        integration_instance: IntegrationInstanceName {
            id: job.scope.clone(),
            name: job.scope.clone(),
        },
        integration_definition: None,
    }
}

/// An integration by its jobs, the newest of which comes first.
fn lite(account: &str, scope: &str, jobs: &[&JobReport]) -> IntegrationInstanceLite {
    let (first, last) = (jobs.last(), jobs.first());
    IntegrationInstanceLite {
        id: scope.to_owned(),
        name: scope.to_owned(),
        account_id: account.to_owned(),
        source_integration_instance_id: None,
        polling_interval: "DISABLED".into(),
        polling_interval_cron_expression: None,
        integration_definition_id: None,
        description: None,
        config: Scalar(json!({})),
        instance_relationship: None,
        resource_group_id: None,
        created_on: first.map(|job| rfc3339_text(job.start_timestamp)),
        created_by: None,
        updated_on: last.and_then(|job| job.end_timestamp).map(rfc3339_text),
        updated_by: None,
        most_recent_job: last.map(|job| MostRecentJob {
            status: state(job),
            has_skipped_steps: false,
            create_date: rfc3339_text(job.start_timestamp),
        }),
    }
}

/// One page of a list. A cursor is the number of items before it.
fn page<T>(
    mut all: Vec<T>,
    cursor: Option<&str>,
    size: Option<i32>,
) -> GraphqlResult<(Vec<T>, PageInfo)> {
    let start = match cursor.filter(|cursor| !cursor.is_empty()) {
        None => 0,
        Some(cursor) => {
            let place = cursor.strip_prefix("after:").and_then(|number| number.parse().ok());
            let place = place.filter(|place: &usize| *place <= all.len());
            place.ok_or_else(|| {
                coded("this is no cursor of ours; leave it out to begin anew", "BAD_CURSOR")
            })?
        }
    };
    let size = size.and_then(|n| usize::try_from(n).ok()).unwrap_or(PAGE).clamp(1, PAGE_MAX);
    let end = (start + size).min(all.len());
    let more = end < all.len();
    all.truncate(end);
    let items = all.split_off(start);
    let end_cursor = more.then(|| format!("after:{end}"));
    Ok((items, PageInfo { end_cursor, has_next_page: more }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_leads_through_all_items_once_and_a_wrong_one_is_refused() {
        let (mut seen, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let all: Vec<usize> = (0..7).collect();
            let Ok((items, info)) = page(all, cursor.as_deref(), Some(3)) else {
                panic!("{cursor:?}")
            };
            seen.extend(items);
            cursor = info.end_cursor;
            assert_eq!(cursor.is_some(), info.has_next_page);
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(seen, [0, 1, 2, 3, 4, 5, 6]);
        for wrong in ["after:8", "after:-1", "3", "after:x", "null"] {
            assert!(page(vec![1], Some(wrong), None).is_err(), "{wrong}");
        }
    }
}
