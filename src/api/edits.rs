//! The mutations of GraphQL: single objects that are made, changed or deleted, each in a transaction
//! of its own.
//!
//! A caller changes only objects that its rights cover. If it may not read, it hears of an object
//! only what it sent itself, and gets the same error for a foreign object as for one that is not
//! there.
//!
//! Source: wire contract, section 7.

use super::api_error::ApiError;
use super::gate::WorkKind;
use super::graphql::{
    GraphqlResult, entity, graphql_error, live_entity, no_such, object_id, parts,
};
use super::jobs::{SCOPE, forbidden};
use super::{ApiCaller, AppState, blocking, not_allowed};
use async_graphql::{Context, Json as Scalar, Object, SimpleObject};
use serde_json::{Map, Value as Json_, json};
use tombolo::db::EditRequest;
use tombolo::graph::{Entity, GraphRead, ObjectId, ObjectKind, Relationship, Value};
use tombolo::store::Snapshot;

fn live_relationship(
    snapshot: &Snapshot,
    id: ObjectId,
) -> std::result::Result<Option<Relationship>, ApiError> {
    let found = match snapshot.number_of(ObjectKind::Relationship, id)? {
        Some(number) => snapshot.relationship(number)?,
        None => None,
    };
    Ok(found.filter(|link| !link.metadata.deleted()))
}

fn relationship(snapshot: &Snapshot, id: ObjectId) -> std::result::Result<Relationship, ApiError> {
    live_relationship(snapshot, id)?.ok_or_else(|| no_such("relationship", id))
}

/// An object that this caller may change. A caller that may not read gets the same error for a
/// foreign object as for one that is not there.
fn require_writable<T>(
    caller: &ApiCaller,
    found: Option<T>,
    scope: impl Fn(&T) -> &str,
    what: &str,
    id: ObjectId,
) -> std::result::Result<T, ApiError> {
    match found {
        Some(object) if caller.rights.write(scope(&object)) => Ok(object),
        _ if !caller.rights.read() => Err(forbidden()),
        Some(object) => Err(not_allowed(&format!("write:{}", scope(&object)))),
        None => Err(no_such(what, id)),
    }
}

fn our_entity(
    app: &AppState,
    caller: &ApiCaller,
    id: ObjectId,
) -> std::result::Result<Entity, ApiError> {
    let found = live_entity(&app.database.snapshot()?, id)?;
    require_writable(caller, found, |entity| &entity.scope, "entity", id)
}

fn our_relationship(
    app: &AppState,
    caller: &ApiCaller,
    id: ObjectId,
) -> std::result::Result<Relationship, ApiError> {
    let found = live_relationship(&app.database.snapshot()?, id)?;
    require_writable(caller, found, |link| &link.scope, "relationship", id)
}

/// Names of properties that a caller sent.
fn sent_property_names(properties: Option<&Scalar<Json_>>) -> Vec<String> {
    let members = properties.and_then(|properties| properties.0.as_object());
    members.into_iter().flatten().map(|(name, _)| name.clone()).collect()
}

/// Removes the properties of an object that a caller may not see. A caller that may not read sees
/// only those that it sent itself.
fn limit(caller: &ApiCaller, properties: &mut Vec<(String, Value<'static>)>, sent: &[String]) {
    if !caller.rights.read() {
        properties.retain(|(name, _)| sent.contains(name));
    }
}

/// What clients read of an entity.
#[derive(Clone, SimpleObject)]
struct GraphEntity {
    #[graphql(name = "_id")]
    id: String,
    #[graphql(name = "_key")]
    key: String,
    #[graphql(name = "_type")]
    type_name: Vec<String>,
    #[graphql(name = "_class")]
    class: Vec<String>,
    #[graphql(name = "_scope")]
    scope: String,
    #[graphql(name = "_deleted")]
    deleted: bool,
    #[graphql(name = "_endOn")]
    end_on: Option<i64>,
    #[graphql(name = "displayName")]
    display_name: Option<String>,
}

#[derive(SimpleObject)]
struct Vertex {
    id: String,
    entity: GraphEntity,
    properties: Scalar<Json_>,
}

#[derive(SimpleObject)]
struct EntityResult {
    entity: GraphEntity,
    vertex: Vertex,
}

/// An entity with all its members in one scalar.
#[derive(SimpleObject)]
struct WholeEntity {
    entity: Scalar<Json_>,
}

/// What clients read of a relationship.
#[derive(Clone, SimpleObject)]
struct GraphRelationship {
    #[graphql(name = "_id")]
    id: String,
    #[graphql(name = "_key")]
    key: String,
    #[graphql(name = "_type")]
    type_name: String,
    #[graphql(name = "_class")]
    class: String,
    #[graphql(name = "_scope")]
    scope: String,
    #[graphql(name = "_fromEntityId")]
    from_id: String,
    #[graphql(name = "_toEntityId")]
    to_id: String,
    #[graphql(name = "displayName")]
    display_name: Option<String>,
}

#[derive(SimpleObject)]
#[graphql(rename_fields = "camelCase")]
struct Edge {
    id: String,
    to_vertex_id: String,
    from_vertex_id: String,
    relationship: GraphRelationship,
    properties: Scalar<Json_>,
}

#[derive(SimpleObject)]
struct RelationshipResult {
    relationship: GraphRelationship,
    edge: Edge,
}

#[derive(SimpleObject)]
struct RawDataResult {
    status: String,
}

fn properties(all: &[(String, Value<'static>)]) -> Scalar<Json_> {
    Scalar(all.iter().map(|(name, value)| (name.clone(), json!(value))).collect())
}

fn display_name(all: &[(String, Value<'static>)]) -> Option<String> {
    let found = all.iter().find(|(name, _)| name == "displayName");
    found.and_then(|(_, value)| value.as_str()).map(str::to_owned)
}

fn entity_result(entity: &Entity, deleted_on: Option<i64>) -> EntityResult {
    let shown = GraphEntity {
        id: entity.id.to_string(),
        key: entity.key.clone(),
        type_name: vec![entity.type_name.clone()],
        class: entity.classes.clone(),
        scope: entity.scope.clone(),
        deleted: deleted_on.is_some(),
        end_on: deleted_on,
        display_name: display_name(&entity.properties),
    };
    let vertex = Vertex {
        id: shown.id.clone(),
        entity: shown.clone(),
        properties: properties(&entity.properties),
    };
    EntityResult { entity: shown, vertex }
}

fn relationship_result(link: &Relationship) -> RelationshipResult {
    let shown = GraphRelationship {
        id: link.id.to_string(),
        key: link.key.clone(),
        type_name: link.type_name.clone(),
        class: link.class.clone(),
        scope: link.scope.clone(),
        from_id: link.from.id.to_string(),
        to_id: link.to.id.to_string(),
        display_name: display_name(&link.properties),
    };
    let edge = Edge {
        id: shown.id.clone(),
        to_vertex_id: shown.to_id.clone(),
        from_vertex_id: shown.from_id.clone(),
        relationship: shown.clone(),
        properties: properties(&link.properties),
    };
    RelationshipResult { relationship: shown, edge }
}

/// An object of the properties that a caller gives, and of the members that the caller may not set.
fn object(
    given: Option<Scalar<Json_>>,
    own: &[(&str, Json_)],
) -> std::result::Result<Map<String, Json_>, ApiError> {
    let mut members = match given.map(|given| given.0) {
        None | Some(Json_::Null) => Map::new(),
        Some(Json_::Object(members)) => members,
        Some(_) => return Err(ApiError::bad("`properties` must be an object")),
    };
    // A scope may be named; whatever else the system owns is given as an argument.
    members.retain(|name, _| !name.starts_with('_') || name == "_rawData");
    members.extend(own.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    Ok(members)
}

/// The members of a relationship in an upload, apart from its properties.
fn relationship_members(
    key: &str,
    type_name: &str,
    class: &str,
    (from, to): (ObjectId, ObjectId),
) -> [(&'static str, Json_); 5] {
    [
        ("_key", json!(key)),
        ("_type", json!(type_name)),
        ("_class", json!(class)),
        ("_fromEntityId", json!(from.to_string())),
        ("_toEntityId", json!(to.to_string())),
    ]
}

/// The scope that new objects name, or the one for those that name none.
fn scope_of(given: Option<&Scalar<Json_>>) -> String {
    let named = given.and_then(|given| given.0.get("_scope")).and_then(Json_::as_str);
    named.unwrap_or(SCOPE).to_owned()
}

/// Writes objects to a scope, and deletes others of it.
fn edit(
    app: &AppState,
    caller: &ApiCaller,
    scope: String,
    objects: String,
    deletes: Vec<(ObjectKind, ObjectId)>,
) -> std::result::Result<(), ApiError> {
    let edit = EditRequest { scope, source: "api".into(), objects, deletes };
    app.database.edit_as(&edit, &caller.rights)?;
    Ok(())
}

/// Refuses a scope that the caller named, and may not write.
fn named_scope(caller: &ApiCaller, scope: &str) -> std::result::Result<(), ApiError> {
    match caller.rights.write(scope) {
        true => Ok(()),
        false => Err(not_allowed(&format!("write:{scope}"))),
    }
}

fn objects(kind: &str, object: Map<String, Json_>) -> String {
    json!({ kind: [object] }).to_string()
}

/// A time in epoch milliseconds, as clients declare it. Ours are the ones that count.
struct TimestampScalar;

#[async_graphql::Scalar(name = "Long")]
impl async_graphql::ScalarType for TimestampScalar {
    fn parse(_: async_graphql::Value) -> async_graphql::InputValueResult<TimestampScalar> {
        Ok(TimestampScalar)
    }

    fn to_value(&self) -> async_graphql::Value {
        async_graphql::Value::Null
    }
}

/// The mutations.
pub struct Edits;

#[Object]
#[allow(clippy::too_many_arguments)]
impl Edits {
    /// Makes an entity, or changes the one that has this key.
    async fn create_entity(
        &self,
        context: &Context<'_>,
        entity_key: String,
        entity_type: String,
        entity_class: Vec<String>,
        properties: Option<Scalar<Json_>>,
        #[graphql(name = "timestamp")] _timestamp: Option<TimestampScalar>,
    ) -> GraphqlResult<EntityResult> {
        let (app, caller) = parts(context)?;
        let caller = caller.clone();
        blocking(app, WorkKind::Commit, move |app| {
            let (scope, sent) =
                (scope_of(properties.as_ref()), sent_property_names(properties.as_ref()));
            named_scope(&caller, &scope)?;
            let id = ObjectId::new(ObjectKind::Entity, &scope, &entity_key);
            let own = [
                ("_key", json!(entity_key)),
                ("_type", json!(entity_type)),
                ("_class", json!(entity_class)),
            ];
            let objects = objects("entities", object(properties, &own)?);
            edit(app, &caller, scope, objects, Vec::new())?;
            changed_entity(app, &caller, id, &sent)
        })
        .await
        .map_err(graphql_error)
    }

    /// Changes properties of an entity.
    async fn update_entity(
        &self,
        context: &Context<'_>,
        entity_id: String,
        properties: Option<Scalar<Json_>>,
        #[graphql(name = "timestamp")] _timestamp: Option<TimestampScalar>,
    ) -> GraphqlResult<EntityResult> {
        update(context, &entity_id, properties).await
    }

    /// Changes properties of the entity that has the `_id` in `entity`.
    #[graphql(name = "updateEntityV2")]
    async fn update_entity_v2(
        &self,
        context: &Context<'_>,
        entity: Scalar<Json_>,
        #[graphql(name = "timestamp")] _timestamp: Option<TimestampScalar>,
    ) -> GraphqlResult<WholeEntity> {
        let Some(id) = entity.0["_id"].as_str().map(str::to_owned) else {
            return Err("`entity` has no `_id`".into());
        };
        let changed = update(context, &id, Some(entity)).await?;
        let mut shown = changed.vertex.properties.0;
        shown["_id"] = json!(changed.entity.id);
        shown["_key"] = json!(changed.entity.key);
        shown["_type"] = json!(changed.entity.type_name);
        shown["_class"] = json!(changed.entity.class);
        shown["_scope"] = json!(changed.entity.scope);
        Ok(WholeEntity { entity: Scalar(shown) })
    }

    /// Deletes an entity and its relationships. It stays as a tombstone until `gc`, also when the
    /// caller asks for more.
    async fn delete_entity(
        &self,
        context: &Context<'_>,
        entity_id: String,
        #[graphql(name = "timestamp")] _timestamp: Option<TimestampScalar>,
        #[graphql(name = "hardDelete")] _hard_delete: Option<bool>,
    ) -> GraphqlResult<EntityResult> {
        delete(context, &entity_id).await
    }

    /// Deletes an entity and its relationships; as `deleteEntity`, with another answer.
    #[graphql(name = "deleteEntityV2")]
    async fn delete_entity_v2(
        &self,
        context: &Context<'_>,
        entity_id: String,
        #[graphql(name = "timestamp")] _timestamp: Option<TimestampScalar>,
        #[graphql(name = "hardDelete")] _hard_delete: Option<bool>,
    ) -> GraphqlResult<WholeEntity> {
        let gone = delete(context, &entity_id).await?.entity;
        Ok(WholeEntity {
            entity: Scalar(json!({
                "_id": gone.id,
                "_key": gone.key,
                "_type": gone.type_name,
                "_class": gone.class,
                "_scope": gone.scope,
                "_deleted": true,
                "_endOn": gone.end_on,
                "displayName": gone.display_name,
            })),
        })
    }

    /// Makes a relationship, or changes the one that has this key.
    async fn create_relationship(
        &self,
        context: &Context<'_>,
        relationship_key: String,
        relationship_type: String,
        relationship_class: String,
        from_entity_id: String,
        to_entity_id: String,
        properties: Option<Scalar<Json_>>,
        #[graphql(name = "timestamp")] _timestamp: Option<TimestampScalar>,
    ) -> GraphqlResult<RelationshipResult> {
        let (app, caller) = parts(context)?;
        let (caller, from, to) =
            (caller.clone(), object_id(&from_entity_id)?, object_id(&to_entity_id)?);
        blocking(app, WorkKind::Commit, move |app| {
            let (scope, sent) =
                (scope_of(properties.as_ref()), sent_property_names(properties.as_ref()));
            named_scope(&caller, &scope)?;
            let class = relationship_class.to_uppercase();
            let own =
                relationship_members(&relationship_key, &relationship_type, &class, (from, to));
            let id = ObjectId::new(ObjectKind::Relationship, &scope, &relationship_key);
            let objects = objects("relationships", object(properties, &own)?);
            edit(app, &caller, scope, objects, Vec::new())?;
            changed_relationship(app, &caller, id, &sent)
        })
        .await
        .map_err(graphql_error)
    }

    /// Changes properties of a relationship.
    async fn update_relationship(
        &self,
        context: &Context<'_>,
        relationship_id: String,
        #[graphql(name = "fromEntityId")] _from: Option<String>,
        #[graphql(name = "toEntityId")] _to: Option<String>,
        #[graphql(name = "timestamp")] _timestamp: Option<TimestampScalar>,
        properties: Option<Scalar<Json_>>,
    ) -> GraphqlResult<RelationshipResult> {
        let (app, caller) = parts(context)?;
        let (caller, id) = (caller.clone(), object_id(&relationship_id)?);
        blocking(app, WorkKind::Commit, move |app| {
            let (known, sent) =
                (our_relationship(app, &caller, id)?, sent_property_names(properties.as_ref()));
            let own = relationship_members(
                &known.key,
                &known.type_name,
                &known.class,
                (known.from.id, known.to.id),
            );
            // An upload replaces a relationship whole, so the properties that stay are sent along.
            let kept = known.properties.iter().map(|(name, value)| (name.clone(), json!(value)));
            let mut members: Map<String, Json_> = kept.collect();
            members.extend(object(properties, &own)?);
            let objects = objects("relationships", members);
            edit(app, &caller, known.scope, objects, Vec::new())?;
            changed_relationship(app, &caller, id, &sent)
        })
        .await
        .map_err(graphql_error)
    }

    /// Deletes a relationship.
    async fn delete_relationship(
        &self,
        context: &Context<'_>,
        relationship_id: String,
        #[graphql(name = "fromEntityId")] _from: Option<String>,
        #[graphql(name = "toEntityId")] _to: Option<String>,
        #[graphql(name = "timestamp")] _timestamp: Option<TimestampScalar>,
    ) -> GraphqlResult<RelationshipResult> {
        let (app, caller) = parts(context)?;
        let (caller, id) = (caller.clone(), object_id(&relationship_id)?);
        blocking(app, WorkKind::Commit, move |app| {
            // Read before the deletion, since the answer shows it as it was.
            let mut known = our_relationship(app, &caller, id)?;
            edit(
                app,
                &caller,
                known.scope.clone(),
                String::new(),
                vec![(ObjectKind::Relationship, id)],
            )?;
            limit(&caller, &mut known.properties, &[]);
            Ok(relationship_result(&known))
        })
        .await
        .map_err(graphql_error)
    }

    /// Sets the raw data of an entity.
    async fn upsert_entity_raw_data(
        &self,
        context: &Context<'_>,
        entity_id: String,
        #[graphql(name = "source")] _source: String,
        raw_data: Vec<Scalar<Json_>>,
    ) -> GraphqlResult<RawDataResult> {
        let raw: Vec<Json_> = raw_data
            .into_iter()
            .map(|item| json!({ "name": item.0["name"], "rawData": item.0["data"] }))
            .collect();
        let properties = Some(Scalar(json!({ "_rawData": raw })));
        update(context, &entity_id, properties).await?;
        Ok(RawDataResult { status: "success".into() })
    }
}

/// An entity as its edit left it.
fn changed_entity(
    app: &AppState,
    caller: &ApiCaller,
    id: ObjectId,
    sent: &[String],
) -> std::result::Result<EntityResult, ApiError> {
    let mut changed = entity(&app.database.snapshot()?, id)?;
    limit(caller, &mut changed.properties, sent);
    Ok(entity_result(&changed, None))
}

/// A relationship as its edit left it.
fn changed_relationship(
    app: &AppState,
    caller: &ApiCaller,
    id: ObjectId,
    sent: &[String],
) -> std::result::Result<RelationshipResult, ApiError> {
    let mut changed = relationship(&app.database.snapshot()?, id)?;
    limit(caller, &mut changed.properties, sent);
    Ok(relationship_result(&changed))
}

async fn update(
    context: &Context<'_>,
    entity_id: &str,
    properties: Option<Scalar<Json_>>,
) -> GraphqlResult<EntityResult> {
    let (app, caller) = parts(context)?;
    let (caller, id) = (caller.clone(), object_id(entity_id)?);
    blocking(app, WorkKind::Commit, move |app| {
        let (known, sent) =
            (our_entity(app, &caller, id)?, sent_property_names(properties.as_ref()));
        // Only what changes: this mode merges an entity with its stored properties.
        let own = [("_key", json!(known.key))];
        let objects = objects("entities", object(properties, &own)?);
        edit(app, &caller, known.scope, objects, Vec::new())?;
        changed_entity(app, &caller, id, &sent)
    })
    .await
    .map_err(graphql_error)
}

async fn delete(context: &Context<'_>, entity_id: &str) -> GraphqlResult<EntityResult> {
    let (app, caller) = parts(context)?;
    let (caller, id) = (caller.clone(), object_id(entity_id)?);
    blocking(app, WorkKind::Commit, move |app| {
        // Read before the deletion, since the answer shows it as it was.
        let mut known = our_entity(app, &caller, id)?;
        edit(app, &caller, known.scope.clone(), String::new(), vec![(ObjectKind::Entity, id)])?;
        limit(&caller, &mut known.properties, &[]);
        Ok(entity_result(&known, Some(super::now())))
    })
    .await
    .map_err(graphql_error)
}
