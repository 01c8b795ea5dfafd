"""The Python client through its whole life: jobs, queries, objects. Argument: the server."""

import sys
import warnings

from jupiterone import JupiterOneClient

warnings.simplefilter("ignore")
base = sys.argv[1]
client = JupiterOneClient(account="acct", token="tmb_0123456789", url=base + "/graphql", sync_url=base)


def same(got, expected):
    assert got == expected, f"{got!r} is not {expected!r}"


job = client.start_sync_job(
    instance_id="11111111-2222-3333-4444-555555555555",
    sync_mode="DIFF",
    source="integration-external",
)["job"]
same(job["status"], "AWAITING_UPLOADS")
hosts = [{"_key": f"h{i}", "_type": "host", "_class": "Host", "n": i} for i in range(600)]
client.upload_entities_batch_json(instance_job_id=job["id"], entities_list=hosts)
links = [
    {"_key": f"l{i}", "_type": "host_uses_host", "_class": "USES",
     "_fromEntityKey": f"h{i}", "_toEntityKey": f"h{i + 1}"}
    for i in range(599)
]
client.upload_relationships_batch_json(instance_job_id=job["id"], relationships_list=links)
more = {"entities": [{"_key": "g", "_type": "group", "_class": ["Group"]}], "relationships": []}
client.upload_combined_batch_json(instance_job_id=job["id"], combined_payload=more)
done = client.finalize_sync_job(instance_job_id=job["id"])["job"]
same(done["status"], "FINISHED")
same((done["numEntitiesCreated"], done["numRelationshipsCreated"]), (601, 599))

# All three ways of paging see every row once.
query = "FIND Host AS h RETURN h._key AS k"
keys = sorted(f"h{i}" for i in range(600))
same(sorted(row["k"] for row in client.query_v1(query)["data"]), keys)
same(sorted(row["k"] for row in client.query_v1(query, skip=250, limit=250)["data"]), keys)
same(sorted(row["k"] for row in client.query_with_deferred_response(query)), keys)
same(len(client.query_v1("FIND Host LIMIT 10")["data"]), 10)
tree = client.query_v1("FIND Host WITH n = 1 THAT USES >> Host RETURN TREE")
same((len(tree["vertices"]), len(tree["edges"])), (2, 1))

made = client.create_entity(
    entity_key="k", entity_type="server", entity_class="Server", properties={"a": 1})
entity = made["entity"]["_id"]
client.update_entity(entity_id=entity, properties={"a": 2})
same(client.query_v1("FIND Server AS s RETURN s.a AS a")["data"], [{"a": 2}])
group = client.query_v1("FIND Group")["data"][0]["id"]
link = client.create_relationship(
    relationship_key="r", relationship_type="group_has_server", relationship_class="HAS",
    from_entity_id=group, to_entity_id=entity)["relationship"]["_id"]
ends = {"from_entity_id": group, "to_entity_id": entity}
changed = client.update_relationship(relationship_id=link, properties={"z": 2}, **ends)
same(changed["edge"]["properties"], {"z": 2})
client.delete_relationship(relationship_id=link, **ends)
client.delete_entity(entity_id=entity)
same(client.query_v1("FIND Server")["data"], [])
same(len(client.query_v1("FIND Server", include_deleted=True)["data"]), 1)

# A job that is given up changes nothing; a fault of the query is an error with words.
job = client.start_sync_job(
    instance_id="11111111-2222-3333-4444-555555555555", sync_mode="DIFF",
    source="integration-external")["job"]
same(client.abort_sync_job(instance_job_id=job["id"])["job"]["status"], "ABORTED")
try:
    client.query_v1("FIND Host THAT")
    raise AssertionError("the query can be read")
except Exception as error:
    assert "expected a verb" in str(error), error

# The client cannot name a scope here: objects are found by their id, or by the only one of a key.
job = client.start_sync_job(source="api", sync_mode="PATCH")["job"]
host = client.query_v1("FIND Host WITH n = 5")["data"][0]["id"]
client.upload_entities_batch_json(
    instance_job_id=job["id"], entities_list=[{"_id": host, "seen": True}, {"_key": "h6", "seen": True}])
done = client.finalize_sync_job(instance_job_id=job["id"])["job"]
same((done["status"], done["numEntitiesUpdated"]), ("FINISHED", 2))
same(len(client.query_v1("FIND Host WITH seen = true")["data"]), 2)
print("done")
