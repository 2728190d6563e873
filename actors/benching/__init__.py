"""How much does a gateway cost, in time, CPU and memory, beside others on the same machine?"""
