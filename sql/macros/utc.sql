-- An instant as the timestamps of this file are: UTC, without zone. One that has a zone is converted, whatever zone the
-- session is in; dates, texts and timestamps without a zone are taken for UTC. An offset inside a text is ignored:
-- cast such a text to timestamptz.
create or replace macro utc(instant) as
case
    when typeof(instant) = 'TIMESTAMP WITH TIME ZONE' and isfinite(cast(instant as timestamptz))
        then make_timestamp(epoch_us(cast(instant as timestamptz)))
    else cast(instant as timestamp)
end
