"""Strategies: records, pages and syncs that tell a story of a few tasks, with all that real ones have."""

from hypothesis import strategies as st

from support.records import counters, record, without

identities = st.sampled_from(["a", "b", "c"])
good = st.builds(
    lambda identity, created, status, numbers, devices, policy, more: record(
        identity,
        createTime=created,
        status=status,
        staResult=numbers,
        targets=record()["targets"] | {"devices": devices},
        policy=policy,
        **more,
    ),
    identities,
    st.sampled_from(["20260131T235959Z", "20260201T000000Z", "20260301T080000Z"]),
    st.sampled_from(["wait", "processing", "FAIL", "failed", None]),
    st.none()
    | st.builds(
        lambda success, fail, timeout, total: counters(success=success, fail=fail, timeout=timeout, total=total),
        *[st.integers(0, 2)] * 3,
        st.none() | st.integers(0, 4),
    ),
    st.none() | st.lists(st.sampled_from(["d-1", "d-2"]), max_size=2),
    st.none() | st.just({"executeType": "now"}) | st.just("now"),
    st.just({}) | st.just({"stopTime": "soon"}) | st.just({"extendPara": {"fileVersion": "V2"}}),
)
broken = st.builds(
    lambda identity, created: record(identity, createTime=created), identities, st.sampled_from([None, "soon"])
)
nameless = st.sampled_from([None, 17, without(record(), "operationId")])
pages = st.lists(good | good | good | broken | nameless, max_size=4)
histories = st.lists(st.lists(pages, min_size=1, max_size=2), min_size=2, max_size=4)
