-- What each user used of each app on each day; tokens are those of the event's own text, as for limits by usage.
CREATE OR REPLACE VIEW usage AS
SELECT
    app,
    tenant,
    user,
    toDate(timestamp) AS day,
    count() AS events,
    sum(toUInt64(ifNull(if(kind = 'prompt', prompt_tokens, completion_tokens), 0))) AS tokens,
    sum(ifNull(cost, 0)) AS cost,
    countIf(action = 'block') AS blocks,
    countIf(action = 'flag') AS flags
FROM events
GROUP BY app, tenant, user, day;
