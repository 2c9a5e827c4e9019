-- What the clustered interval of a roll-up says about the target rate of this file. Takes the struct of `success_measures`,
-- and stands apart from it because it would make planning a report half as long again.
create or replace macro success_verdict(measures) as verdict(
    measures.clustered_lower,
    measures.clustered_upper,
    measures.finished,
    measures.operations_finished,
    target_success_rate()
)
