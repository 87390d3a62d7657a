"""A tier and a bus on a Redis or Valkey server, which many machines share.

calls -> engine, a thread with a loop of its own -> link, the connections and the proof that nothing was missed
      -> changes | reads | fills -> scripts at the server
what is heard -> ledger: the stamps as the server has them, and what of this process rests on them
"""
