def total_by_key(rows):
    import asyncio

    totals = {}

    async def put(key, number):
        totals[key] = totals.get(key, 0) + number

    async def all_of_them():
        for key, number in rows:
            await put(key, number)

    asyncio.run(all_of_them())
    return totals
