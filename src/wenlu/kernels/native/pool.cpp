// Memory for large tensors that is never given back: a step of training takes the same blocks as the one before, and
// a fresh page costs more than what is computed in it. One stretch of addresses in huge pages; the lowest free block
// that is large enough is taken, and free neighbours become one.
#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <c10/core/impl/alloc_cpu.h>

#include <iterator>
#include <map>
#include <mutex>
#include <unordered_map>

#include <sys/mman.h>
#include <unistd.h>

namespace {

constexpr size_t LARGE = 1 << 17, GRAIN = 1 << 14;

class Pool final : public c10::Allocator {
    char *base = nullptr, *top = nullptr, *end = nullptr;
    std::map<char*, size_t> unused;  // by address
    std::unordered_map<char*, size_t> used;
    std::mutex mutex;


    static void release(void* at) {
        if (at == nullptr) return;
        Pool& pool = the();
        char* block = (char*)at;
        if (block < pool.base || block >= pool.end) return c10::free_cpu(at);
        const std::lock_guard<std::mutex> guard(pool.mutex);
        const auto found = pool.used.find(block);
        size_t size = found->second;
        pool.used.erase(found);
        auto next = pool.unused.lower_bound(block);
        if (next != pool.unused.end() && block + size == next->first) {
            size += next->second;
            next = pool.unused.erase(next);
        }
        if (next != pool.unused.begin()) {
            const auto before = std::prev(next);
            if (before->first + before->second == block) {
                before->second += size;
                return;
            }
        }
        pool.unused.emplace(block, size);
    }

    void* take(size_t wanted) {
        const size_t size = (wanted + GRAIN - 1) / GRAIN * GRAIN;
        const std::lock_guard<std::mutex> guard(mutex);
        for (auto block = unused.begin(); block != unused.end(); ++block) {
            if (block->second < size) continue;
            char* at = block->first;
            const size_t rest = block->second - size;
            unused.erase(block);
            if (rest) unused.emplace(at + size, rest);
            used.emplace(at, size);
            return at;
        }
        if (size > (size_t)(end - top)) return nullptr;
        char* at = top;
        top += size;
        used.emplace(at, size);
        return at;
    }

public:
    static Pool& the() {
        static Pool* pool = new Pool;  // outlives every tensor
        return *pool;
    }

    Pool() {
        const size_t room = 2 * (size_t)sysconf(_SC_PHYS_PAGES) * (size_t)sysconf(_SC_PAGESIZE);
        void* at = mmap(nullptr, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (at == MAP_FAILED) return;
        madvise(at, room, MADV_HUGEPAGE);
        base = top = (char*)at;
        end = base + room;
    }

    void trim() {
        const std::lock_guard<std::mutex> guard(mutex);
        for (const auto& [at, size] : unused) madvise(at, size, MADV_DONTNEED);
    }

    bool works() const { return base != nullptr; }

    c10::DataPtr allocate(size_t size) override {
        void* at = size >= LARGE ? take(size) : nullptr;
        if (at == nullptr) at = c10::alloc_cpu(size);
        return {at, at, &release, c10::Device(c10::DeviceType::CPU)};
    }

    c10::DeleterFnPtr raw_deleter() const override { return &release; }

    void copy_data(void* to, const void* from, std::size_t count) const override { default_copy_data(to, from, count); }
};

}  // namespace

extern "C" {

// From now on torch's CPU tensors live there; 0, or 1 where there are no addresses to be had.
int use_pool() {
    if (!Pool::the().works()) return 1;
    c10::SetCPUAllocator(&Pool::the(), 1);
    return 0;
}

// Unused blocks keep their addresses, but not their memory.
void trim_pool() { Pool::the().trim(); }
}
