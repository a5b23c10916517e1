import threading
from concurrent.futures import ThreadPoolExecutor


def count_words(text):
    counts, lock = {}, threading.Lock()

    def note(word):
        with lock:
            counts[word] = counts.get(word, 0) + 1

    threads = [threading.Thread(target=note, args=(word,)) for word in text.lower().split()]
    for thread in threads:
        thread.start()
        thread.join()
    return counts


class Basket:
    def total(self, discount=0):
        with ThreadPoolExecutor(2) as pool:
            return sum(pool.map(lambda line: line[1] * line[2], self.lines)) * (100 - discount) / 100
